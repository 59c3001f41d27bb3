package rest

import (
	"context"

	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// choose finds what each delete is about, before any is carried out: two that mean the same resource conflict,
// whichever comes first.
func (run *transactionRun) choose(ctx context.Context) (err error) {
	for i, p := range run.plan.parts {
		switch w := run.plan.writes[i]; {
		case p.route.code != remove:
		case w.target.id != "":
			run.gone[i] = []fhir.Key{w.key()}
		default:
			if run.gone[i], err = run.selected(ctx, run.tx, w); err != nil {
				return atEntry(i, err)
			}
		}
	}
	return run.unique(ctx)
}

// deletes goes first, so that what is deleted is found by no condition.
func (run *transactionRun) deletes(context.Context) (err error) {
	for i, p := range run.plan.parts {
		if p.route.code != remove {
			continue
		}
		if run.answers[i], err = run.removeAll(run.tx, run.plan.writes[i], run.gone[i]); err != nil {
			return atEntry(i, err)
		}
	}
	return nil
}

// identify finds which resource each create and update is about.
func (run *transactionRun) identify(ctx context.Context) error {
	for i, p := range run.plan.parts {
		var err error
		switch w := run.plan.writes[i]; {
		case p.route.code == create && w.cond.hasNoneExist:
			err = run.identifyCreate(ctx, i, w)
		case p.route.code == create:
			run.keys[i] = w.key()
			run.keys[i].ID = w.fresh
		case (p.route.code == update || p.route.code == patchOne) && w.target.id == "":
			run.keys[i], err = run.conditionalKey(ctx, run.tx, w)
		case p.route.code == update || p.route.code == patchOne:
			run.keys[i] = w.key()
		}
		if err != nil {
			return atEntry(i, err)
		}
	}
	return nil
}

// identifyCreate answers a conditional create that finds its resource; there is nothing left to write.
func (run *transactionRun) identifyCreate(ctx context.Context, i int, w write) error {
	match, err := run.existing(ctx, run.tx, w)
	if err != nil {
		return err
	}
	run.keys[i] = w.key()
	run.keys[i].ID = w.fresh
	if match != nil {
		run.keys[i] = match.Key
		run.answers[i] = run.saved(w.call, store.Saved{Resource: match})
	}
	return nil
}

// unique refuses two entries that are about the same resource.
func (run *transactionRun) unique(context.Context) error {
	seen := map[fhir.Key]int{}
	for i := range run.keys {
		about := run.gone[i]
		if run.keys[i].ID != "" {
			about = []fhir.Key{run.keys[i]}
		}
		for _, key := range about {
			if first, ok := seen[key]; ok {
				return fhir.Errorf(fhir.Invalid, entryExpression(i, ""), "entry %d and entry %d are both about %s: a transaction touches each resource once", first, i, key)
			}
			seen[key] = i
		}
	}
	return nil
}
