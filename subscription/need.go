package subscription

import "fhirhook/fhir/store"

// Lowest is the lowest place of the log that matching has to come to still, and for whom: the Matcher itself, or a
// Subscription that waits behind it. Whatever begins to wait later waits at the Matcher's place or above.
func Lowest(q store.QueueReader) (place store.Seq, who string, err error) {
	main, err := q.Cursor(MatcherName)
	if err != nil {
		return 0, "", err
	}
	place, who = main.Seq, MatcherName
	for r, err := range q.Lanes(store.Lane{}) {
		if err != nil {
			return 0, "", err
		}
		at, err := q.Cursor(holdName(r.Lane))
		if err != nil {
			return 0, "", err
		}
		if at != (store.Cursor{}) && at.Seq < place {
			place, who = at.Seq, "Subscription/"+r.Lane.Subscription+" of tenant "+r.Lane.Tenant+", which can't be compiled"
		}
	}
	return place, who, nil
}
