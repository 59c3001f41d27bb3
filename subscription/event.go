package subscription

import (
	"errors"
	"fmt"

	"fhirhook/channel/resthook"
	"fhirhook/criteria"
	"fhirhook/fhir"
	"fhirhook/fhir/store"
)

// EventName is the generic name of a change: the type in kebab-case and what happened to it, as in
// practitioner-role.created. Update-as-create and the revival of a deleted resource are created.
func EventName(t fhir.Type, i fhir.Interaction) string {
	return resthook.Naming{}.Name(string(t), i.String())
}

// Names is what a dialect calls changes: its catalogue, with the criteria compiled. nil has generic names only.
type Names struct {
	dialect resthook.Dialect
	queries map[string]*criteria.Query // by criteria with their type
	index   *index
}

// newNames compiles a dialect's catalogue. Its criteria mean what R4 says, whatever a tenant defines, for they
// are the same words to every receiver; and they are about the resource alone, so that a name can be found
// again at each attempt. The error names every entry that is wrong.
func newNames(d resthook.Dialect) (*Names, error) {
	n := &Names{dialect: d, queries: map[string]*criteria.Query{}, index: indexOf(d)}
	var wrong []error
	for _, e := range d.Events {
		if e.Type != "" && !fhir.Type(e.Type).Known() {
			wrong = append(wrong, fmt.Errorf("dialect %s: event %s: R4 has no resource type %q", d.Name, e.Name, e.Type))
			continue
		}
		if e.Criteria == "" || e.Type == "" {
			continue
		}
		text := criteriaOf(e)
		q, err := criteria.Parse(text, criteria.R4())
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("dialect %s: event %s: criteria %s: %s", d.Name, e.Name, text, diagnostic(err)))
		case q.Far():
			wrong = append(wrong, fmt.Errorf("dialect %s: event %s: %s looks at other resources, and a name can't", d.Name, e.Name, text))
		default:
			n.queries[text] = q
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return n, nil
}

// diagnostic is what a client would be told, without the name of a request's element.
func diagnostic(err error) string {
	if e, ok := errors.AsType[*fhir.Error](err); ok {
		return e.Diagnostic
	}
	return err.Error()
}

func criteriaOf(e resthook.Event) string { return e.Type + "?" + e.Criteria }

// of names the change that a notification is about. It reads versions only if the name depends on them.
func (n *Names) of(owed store.Notification, version func(uint64) (*fhir.Resource, error)) (name string, err error) {
	if n == nil {
		return EventName(owed.Focus.Type, owed.Interaction), nil
	}
	entry, err := n.entry(owed, version)
	if entry == generic || err != nil {
		return n.dialect.Names.Name(string(owed.Focus.Type), owed.Interaction.String()), err
	}
	return n.dialect.Events[entry].Name, nil
}

// entry finds the catalogue entry that a change is called by; generic if none fits.
func (n *Names) entry(owed store.Notification, version func(uint64) (*fhir.Resource, error)) (entry int, err error) {
	entry = n.dialect.Entry(string(owed.Focus.Type), owed.Interaction.String(), func(e resthook.Event) bool {
		fits, problem := n.fits(e, owed, version)
		err = errors.Join(err, problem)
		return fits
	})
	return entry, err
}

// fits tells whether a change meets the criteria of a catalogue entry. A delete is judged on the version that
// it ended, like everywhere.
func (n *Names) fits(e resthook.Event, owed store.Notification, version func(uint64) (*fhir.Resource, error)) (bool, error) {
	judged := owed.Version
	if owed.Interaction == fhir.Delete {
		judged--
	}
	env := criteria.Env{Now: owed.Updated}
	v, err := version(judged)
	if err != nil || !n.queries[criteriaOf(e)].Match(v, env) {
		return false, err
	}
	switch {
	case !e.Enters, owed.Interaction != fhir.Update:
		return true, nil
	case owed.Cause != "":
		return false, nil // another resource changed, and this one is as it was
	case judged == 1:
		return true, nil // it is sent as an update, and there was none before
	}
	before, err := version(judged - 1)
	if errors.Is(err, store.ErrPurged) {
		return true, nil // it is so now, and nobody knows any more since when
	}
	return err == nil && !n.queries[criteriaOf(e)].Match(before, env), err
}
