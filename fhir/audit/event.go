package audit

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"fhirhook/fhir"
)

// The code systems of what an AuditEvent says (R4 auditevent.html; IHE BALP for what R4 leaves open).
const (
	typeSystem        = "http://terminology.hl7.org/CodeSystem/audit-event-type"
	interactionSystem = "http://hl7.org/fhir/restful-interaction"
	resourceSystem    = "http://hl7.org/fhir/resource-types"
	roleSystem        = "http://terminology.hl7.org/CodeSystem/object-role"
	sourceSystem      = "http://terminology.hl7.org/CodeSystem/security-source-type"
	dicomSystem       = "http://dicom.nema.org/resources/ontology/DCM"
	requestSystem     = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
	operationSystem   = "https://fhirhook.dev/CodeSystem/operation"
	callerSystem      = "https://fhirhook.dev/CodeSystem/caller"
)

type auditEvent struct {
	ResourceType string    `json:"resourceType"`
	ID           string    `json:"id"`
	Meta         meta      `json:"meta"`
	Type         coding    `json:"type"`
	Subtype      []coding  `json:"subtype"`
	Action       string    `json:"action"`
	Recorded     string    `json:"recorded"`
	Outcome      string    `json:"outcome"`
	OutcomeDesc  string    `json:"outcomeDesc,omitempty"`
	Agent        [1]agent  `json:"agent"`
	Source       source    `json:"source"`
	Entity       []*entity `json:"entity"`
}

type meta struct {
	VersionID   string `json:"versionId"`
	LastUpdated string `json:"lastUpdated"`
}

type coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

type concept struct {
	Coding [1]coding `json:"coding"`
}

type reference struct {
	Reference  string      `json:"reference,omitempty"`
	Identifier *identifier `json:"identifier,omitempty"`
	Display    string      `json:"display,omitempty"`
}

type identifier struct {
	System string `json:"system,omitempty"`
	Value  string `json:"value"`
}

type agent struct {
	Type      concept    `json:"type"`
	Role      []concept  `json:"role,omitempty"`
	Who       *reference `json:"who,omitempty"`
	AltID     string     `json:"altId,omitempty"`
	Requestor bool       `json:"requestor"`
	Network   *network   `json:"network,omitempty"`
}

type network struct {
	Address string `json:"address"`
	Type    string `json:"type"`
}

type source struct {
	Site     string    `json:"site,omitempty"`
	Observer reference `json:"observer"`
	Type     [1]coding `json:"type"`
}

type entity struct {
	What   *reference `json:"what,omitempty"`
	Type   *coding    `json:"type,omitempty"`
	Role   *coding    `json:"role,omitempty"`
	Query  string     `json:"query,omitempty"`
	Detail []detail   `json:"detail,omitempty"`
}

type detail struct {
	Type  string `json:"type"`
	Value string `json:"valueString"`
}

// event makes the AuditEvent of a line.
func event(key fhir.Key, at time.Time, r row, site string) *fhir.Resource {
	action := r.action()
	e := auditEvent{
		ResourceType: string(fhir.AuditEvent), ID: key.ID,
		Meta:     meta{"1", fhir.Instant(at)},
		Type:     coding{typeSystem, "rest", "RESTful Operation"},
		Subtype:  r.subtype(),
		Action:   action,
		Recorded: fhir.Instant(at),
		Outcome:  outcome(r.Status),
		Agent:    [1]agent{r.agent(action)},
		Source:   source{Site: fhir.Text(site), Observer: reference{Display: "fhirhook"}, Type: [1]coding{{sourceSystem, "4", "Application Server"}}},
		Entity:   r.entities(),
	}
	if r.Status >= http.StatusBadRequest {
		e.OutcomeDesc = strings.Join(texts(strconv.Itoa(r.Status), r.Issue, r.Reason), " ")
	}
	out := &fhir.Resource{Key: key, Version: 1, Updated: at}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		panic(err) // strings
	}
	out.JSON = []byte(strings.TrimSuffix(b.String(), "\n"))
	return out
}

func texts(all ...string) (some []string) {
	for _, s := range all {
		if s = fhir.Text(s); s != "" {
			some = append(some, s)
		}
	}
	return some
}

// subtype is the interaction; operations have a code of R4's together, and one of their own.
func (r row) subtype() []coding {
	if name, ok := strings.CutPrefix(r.Interaction, "$"); ok {
		return []coding{{System: interactionSystem, Code: "operation"}, {System: operationSystem, Code: name}}
	}
	return []coding{{System: interactionSystem, Code: r.Interaction}}
}

// action is what kind of thing was done, or tried: a search executes a query (IHE BALP, Query).
func (r row) action() string {
	switch r.Interaction {
	case "create":
		return "C"
	case "read", "vread", "history-instance", "history-type", "history-system", "capabilities":
		return "R"
	case "update", "patch":
		if r.Status == http.StatusCreated {
			return "C"
		}
		return "U"
	case "delete":
		return "D"
	default:
		return "E"
	}
}

// outcome of a status: what the client got wrong is minor, what the server did is serious, and that it could do nothing
// at all is major (AuditEvent.outcome).
func outcome(status int) string {
	switch {
	case status < http.StatusBadRequest:
		return "0"
	case status < http.StatusInternalServerError:
		return "4"
	case status == http.StatusServiceUnavailable:
		return "12"
	default:
		return "8"
	}
}

// agent is who called. Data flows to whoever reads, and from whoever writes.
func (r row) agent(action string) agent {
	a := agent{Type: concept{[1]coding{{dicomSystem, "110153", "Source Role ID"}}}, Requestor: true, AltID: fhir.Text(r.Subject)}
	if action == "R" || action == "E" {
		a.Type = concept{[1]coding{{dicomSystem, "110152", "Destination Role ID"}}}
	}
	switch {
	case a.AltID != "":
		a.Who = &reference{Identifier: &identifier{fhir.Text(r.Issuer), a.AltID}}
	case r.Open:
		a.Who = &reference{Display: "anyone: no authentication is configured"}
	default:
		a.Who = &reference{Display: "not identified"}
	}
	if r.Admin {
		a.Role = []concept{{[1]coding{{callerSystem, "administrator", "Administrator"}}}}
	}
	if r.Address.IsValid() {
		a.Network = &network{r.Address.String(), "2"} // an IP address
	}
	return a
}

// entities are the request, what it was about, and what was searched for.
func (r row) entities() []*entity {
	request := &entity{Type: &coding{System: requestSystem, Code: "XrequestId"}}
	if id := fhir.Text(r.Request); id != "" {
		request.What = &reference{Identifier: &identifier{Value: id}}
	}
	add := func(name, value string) {
		if value != "" {
			request.Detail = append(request.Detail, detail{name, value})
		}
	}
	add("method", fhir.Text(r.Method))
	add("status", strconv.Itoa(r.Status))
	if r.Entry > 0 {
		add("entry", strconv.Itoa(r.Entry))
	}
	add("own-tenant", r.From)
	add("duration-ms", strconv.FormatInt(r.Micros/1000, 10))
	all := []*entity{request}
	typ, id, about := strings.Cut(r.About, "/")
	if about {
		e := &entity{What: &reference{Reference: r.About}, Type: &coding{System: resourceSystem, Code: typ}, Role: &coding{roleSystem, "4", "Domain Resource"}}
		if r.Version > 0 {
			e.What.Reference = (&fhir.Resource{Key: fhir.Key{Type: fhir.Type(typ), ID: id}, Version: r.Version}).VersionedReference()
		}
		if typ == "Patient" {
			e.Role = &coding{roleSystem, "1", "Patient"}
		}
		all = append(all, e)
	}
	if r.Query != "" {
		e := &entity{
			Type:  &coding{"http://terminology.hl7.org/CodeSystem/audit-entity-type", "2", "System Object"},
			Role:  &coding{roleSystem, "24", "Query"},
			Query: base64.StdEncoding.EncodeToString([]byte(r.Query)),
		}
		if r.Clipped {
			e.Detail = []detail{{"clipped", "the query was longer"}}
		}
		all = append(all, e)
	} else if r.About != "" && !about {
		all = append(all, &entity{What: &reference{Display: r.About}, Type: &coding{System: resourceSystem, Code: typ}})
	}
	return all
}
