package app

import (
	"context"
	"time"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
	"fhirhook/fhir/store/retention"
	"fhirhook/subscription"
	"fhirhook/subscription/operate"
)

// History says how long old versions are kept; the zero value keeps all of them.
type History struct {
	KeepHistory time.Duration // after they were replaced; 0: for ever
}

func (h History) checkHistory(p *problems) {
	if h.KeepHistory != 0 && h.KeepHistory < retention.Shortest {
		p.add("--keep-history %s must be at least %s, or 0 to keep all versions", h.KeepHistory, retention.Shortest)
	}
}

// historian is who removes old versions; nil: nobody does.
func (o Options) historian(s *Server) *retention.Keeper {
	if o.KeepHistory == 0 || o.offline {
		return nil
	}
	return retention.New(retention.Options{
		DB: s.db, Keep: o.KeepHistory, Needs: s.needs, Log: o.Log,
		// What the server itself goes by: when a Subscription was switched off, who may still see what it was owed.
		Exempt: func(t fhir.Type) bool { return t == fhir.Subscription },
	})
}

// needs are the places that somebody still reads as of.
func (s *Server) needs(ctx context.Context) ([]retention.Need, error) {
	needs := []retention.Need{{Name: "search index", Place: s.index.Place()}}
	if p := s.own.Progress(); !p.Built {
		needs = append(needs, retention.Need{Name: "index of search parameters", Place: p.Done})
	}
	err := s.db.Queue().View(ctx, func(q store.QueueReader) error {
		place, who, err := subscription.Lowest(q)
		if err != nil {
			return err
		}
		needs = append(needs, retention.Need{Name: who, Place: place})
		place, who, found, err := operate.Lowest(q)
		if found {
			needs = append(needs, retention.Need{Name: who, Place: place})
		}
		return err
	})
	return needs, err
}
