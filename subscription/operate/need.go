package operate

import "fhirhook/fhir/store"

// Lowest is the lowest place that a $backfill under way is about, and which one that is; false if there is none.
func Lowest(q store.QueueReader) (place store.Seq, who string, found bool, err error) {
	for j, err := range q.Jobs() {
		if err != nil {
			return 0, "", false, err
		}
		r, err := parseRecord(j)
		if err != nil {
			return 0, "", false, err
		}
		if r.Kind == backfill && r.Status == inProgress && (!found || r.Selection.Place < place) {
			place, who, found = r.Selection.Place, "$backfill of Subscription/"+j.Lane.Subscription+" of tenant "+j.Lane.Tenant, true
		}
	}
	return place, who, found, nil
}
