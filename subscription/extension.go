package subscription

import (
	"regexp"
	"strings"

	"fhirhook/fhir"
	"fhirhook/fhir/tape"
)

// extension is one extension of a Subscription, with where it stands.
type extension struct {
	url    string    // as written
	name   string    // url as it is looked up: see extensionName
	path   string    // FHIRPath, as in Subscription.channel.extension[2]
	member string    // valueString, valueCode …; "" if it has no value
	value  tape.Node // of that member
}

// at is the path of the extension's value, or of the extension if it has none.
func (e extension) at() string {
	if e.member == "" {
		return e.path
	}
	return e.path + "." + e.member
}

// extensionName is what remains of an extension's URL when the scheme and www. are taken away: people write
// these URLs with either, and a secret that isn't recognised would be stored and shown like any other text.
func extensionName(url string) string {
	for _, scheme := range []string{"https://", "http://"} {
		if len(url) >= len(scheme) && strings.EqualFold(url[:len(scheme)], scheme) {
			url = url[len(scheme):]
			break
		}
	}
	host, path, _ := strings.Cut(url, "/")
	return strings.TrimPrefix(strings.ToLower(host), "www.") + "/" + path
}

// The families of extensions that speak of subscriptions, as prefixes of extensionName. An extension of a
// family that isn't known is refused (invariant 6); every other extension is kept and has no effect.
const (
	ours     = "fhirhook.dev/StructureDefinition/"
	medplum  = "medplum.com/fhir/StructureDefinition"
	hapi     = "hapifhir.io/fhir/StructureDefinition/"
	backport = "hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
)

// families is read-only.
var families = []string{ours, medplum, hapi, backport}

// crossVersion is an extension that carries an element of another FHIR version. In a Subscription it would
// narrow or change what is sent (filterBy, topic, content), so ignoring one is not an option.
var crossVersion = regexp.MustCompile(`^hl7\.org/fhir/[0-9]+\.[0-9]+/`)

// known maps the extensions that are built to what reads them. It is read-only.
var known = map[string]func(*reading, extension){
	medplum + "/subscription-secret":                      (*reading).secret,
	medplum + "-subscriptionSecret":                       (*reading).secret,
	ours + "subscription-secret":                          (*reading).secret,
	previousSecret:                                        (*reading).previousSecret,
	previousUntil:                                         (*reading).previousUntil,
	grantName:                                             (*reading).grant,
	medplum + "/subscription-supported-interaction":       (*reading).interaction,
	medplum + "/subscription-max-attempts":                (*reading).maxAttempts,
	hapi + "subscription-delivery-retry-count":            (*reading).retryCount,
	hapi + "subscription-send-delete-messages":            (*reading).sendDelete,
	hapi + "subscription-resthook-deliver-latest-version": (*reading).latest,
	hapi + "subscription-resthook-strip-version-ids":      (*reading).unversioned,
	medplum + "/subscription-success-codes":               (*reading).success,
	medplum + "/subscription-audit-event-destination":     (*reading).audit,
	ours + "subscription-event":                           (*reading).event,
	ours + "subscription-event-name":                      (*reading).eventName,
	backport + "backport-timeout":                         (*reading).timeout,
	ours + "subscription-dialect":                         (*reading).dialect,
	ours + "subscription-signature":                       (*reading).signature,
	ours + "subscription-retry":                           (*reading).retry,
	ours + "subscription-order":                           (*reading).order,
	ours + "subscription-backlog":                         (*reading).backlog,
	ours + "subscription-trigger":                         (*reading).trigger,
	ours + "subscription-trigger-parameter":               (*reading).triggerParameter,
	medplum + "/fhir-path-criteria-expression":            (*reading).expression,
}

// secretNames are the extensions whose value is an HMAC key. It is read-only.
var secretNames = map[string]bool{
	medplum + "/subscription-secret": true,
	medplum + "-subscriptionSecret":  true,
	ours + "subscription-secret":     true,
	previousSecret:                   true,
}

func ofFamily(name string) bool {
	for _, family := range families {
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return false
}

// extensions reads the extensions of the Subscription and of its channel, and refuses those of the known
// families that stand anywhere else, where they would have no effect.
func (r *reading) extensions(root, ch tape.Node) {
	for _, holder := range []struct {
		node tape.Node
		path string
	}{{root, "Subscription"}, {ch, "Subscription.channel"}} {
		for name, v := range holder.node.Members() {
			path := holder.path + "." + name
			switch {
			case name == "extension":
				r.each(v, path, (*reading).extension)
			case name == "modifierExtension":
				r.each(v, path, (*reading).modifier)
			case strings.HasPrefix(name, "_"):
				r.misplaced(v, holder.path+"."+name[1:])
			}
		}
	}
}

// each calls read for every extension of an array of them.
func (r *reading) each(list tape.Node, path string, read func(*reading, extension)) {
	if list.Kind() != tape.Array {
		r.refuse(fhir.Value, path, "must be a JSON array of extensions, and this is a JSON %s", list.Kind())
		return
	}
	i := 0
	for v := range list.Elements() {
		e := extension{path: indexed(path, i)}
		i++
		url := v.Get("url")
		if v.Kind() != tape.Object || url.Kind() != tape.String {
			r.refuse(fhir.Value, e.path, `an extension must be a JSON object with the string "url"`)
			continue
		}
		e.url = url.Text()
		e.name = extensionName(e.url)
		for name, value := range v.Members() {
			if strings.HasPrefix(name, "value") {
				e.member, e.value = name, value
			}
		}
		read(r, e)
	}
}

func (r *reading) extension(e extension) {
	switch read, ok := known[e.name]; {
	case ok:
		read(r, e)
	case crossVersion.MatchString(e.name):
		r.refuse(fhir.BusinessRule, e.at(), "%s is an element of another FHIR version, which has no effect here: leave it out", e.url)
	case ofFamily(e.name):
		r.refuse(fhir.BusinessRule, e.at(), "the extension %s is not supported: leave it out, for ignoring it would change what is sent", e.url)
	}
}

// modifier refuses: who doesn't know a modifier extension must not act on the resource (R4
// extensibility.html#modifierExtension), and none of the known ones is one.
func (r *reading) modifier(e extension) {
	r.refuse(fhir.BusinessRule, e.path, "the modifier extension %s is not supported, so the Subscription can't be understood safely", e.url)
}

// misplaced looks at the extensions of a primitive element, or of each of a repeated one.
func (r *reading) misplaced(v tape.Node, path string) {
	if v.Kind() == tape.Array {
		i := 0
		for one := range v.Elements() {
			r.misplaced(one, indexed(path, i))
			i++
		}
		return
	}
	list := v.Get("extension")
	if !list.Exists() {
		return
	}
	r.each(list, path+".extension", func(r *reading, e extension) {
		if _, ok := known[e.name]; ok {
			r.refuse(fhir.BusinessRule, e.path, "the extension %s belongs on the Subscription or on its channel, not here", e.url)
			return
		}
		r.extension(e)
	})
}
