package resthook_test

import (
	"strings"
	"testing"
	"time"

	"fhirhook/channel/resthook"
)

// Each row spoils a good dialect in one way, and exactly that is named.
func TestDialect_Check_namesTheProblem(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*resthook.Dialect)
		want  string
	}{
		{"no name", func(d *resthook.Dialect) { d.Name = "" }, "the name must be"},
		{"a name that is no word", func(d *resthook.Dialect) { d.Name = "My Dialect" }, "the name must be"},
		{"no method of a change", func(d *resthook.Dialect) { d.Change.Method = "" }, "change has no method"},
		{"no method of a ping", func(d *resthook.Dialect) { d.Ping = resthook.Form{} }, "ping has no method"},
		{"a method that reads", func(d *resthook.Dialect) { d.Change.Method = "GET" }, `change has the method "GET"`},
		{"a method in small letters", func(d *resthook.Dialect) { d.Bare = &resthook.Form{Method: "post"} }, `bare has the method "post"`},
		{"a delete without method", func(d *resthook.Dialect) { d.Delete = resthook.Form{Body: "{}"} }, "delete has no method"},
		{"an unknown placeholder", func(d *resthook.Dialect) { d.Change.Body = `{"a":${patient}}` }, "body of change: unknown placeholder ${patient}"},
		{"an open placeholder", func(d *resthook.Dialect) { d.Delete.Body = `{"a":${event` }, "body of delete: ${event has no closing brace"},
		{"no JSON", func(d *resthook.Dialect) { d.Change.Body = `{"a":${event},}` }, "body of change is not JSON once it is filled in"},
		{"an open string", func(d *resthook.Dialect) { d.Change.Body = `{"a":"${event}}` }, "body of change is not JSON"},
		{"quotes around quotes cut short", func(d *resthook.Dialect) { d.Change.Body = `{"a":"\${event}"}` }, "body of change is not JSON"},
		{"two JSON values", func(d *resthook.Dialect) { d.Change.Body = `${event}${event}` }, "body of change is not JSON"},
		{"a body of blanks", func(d *resthook.Dialect) { d.Ping.Body = " " }, "body of ping is not JSON"},
		{"a time of sending in the body", func(d *resthook.Dialect) { d.Change.Body = `{"a":${sent}}` }, "${sent} differs from try to try"},
		{"an attempt in the body", func(d *resthook.Dialect) { d.Delete.Body = `{"a":"try ${attempt}"}` }, "${attempt} differs from try to try"},
		{"a ping to a resource", func(d *resthook.Dialect) { d.Ping.Address = resthook.AtResource }, "no resource to be addressed"},
		{"a ping of a resource", func(d *resthook.Dialect) { d.Ping.Body = "${resource}" }, "no resource to carry"},
		{"a body of no type", func(d *resthook.Dialect) { d.ContentType = "" }, "change has a body, and nothing says of which type"},
		{"a bare body of no type", func(d *resthook.Dialect) {
			d.ContentType, d.Delete.Body, d.Ping.Body = "", "", ""
			d.Bare = &resthook.Form{Method: "POST", Body: "{}"}
		}, "bare has a body, and nothing says of which type"},
		{"a content type that is none", func(d *resthook.Dialect) { d.ContentType = "json" }, `content-type "json" is not JSON`},
		{"a content type that can't be read", func(d *resthook.Dialect) { d.ContentType = "application/" }, "is not a MIME type"},
		{"a content type with a line break", func(d *resthook.Dialect) { d.ContentType = "application/json;\n a=b" }, "is not a MIME type"},
		{"XML", func(d *resthook.Dialect) { d.ContentType = "application/fhir+xml" }, "is not JSON, and bodies are"},
		{"a header without a name", head("", "x", ""), "a header has no name"},
		{"a header with a blank", head("X A", "x", ""), "is no header name"},
		{"a header of the connection", head("Transfer-Encoding", "x", ""), "header Transfer-Encoding is reserved"},
		{"a header of every dialect", head("webhook-id", "x", ""), "header webhook-id is reserved"},
		{"a header of ours", head("X-Fhirhook-Shard", "x", ""), "header X-Fhirhook-Shard is reserved"},
		{"a header for a proxy", head("Proxy-Authorization", "x", ""), "header Proxy-Authorization is reserved"},
		{"a content type as header", head("content-type", "x", ""), "header content-type is reserved"},
		{"a user agent", head("User-Agent", "x", ""), "header User-Agent is reserved"},
		{"a header twice", head("X-ACME-id", "x", ""), "header X-ACME-id is there twice"},
		{"a header only for what isn't", head("X-B", "x", "read"), `header X-B is only for "read"`},
		{"a header with an unknown placeholder", head("X-B", "${x}", ""), "header X-B: unknown placeholder ${x}"},
		{"a header with a resource", head("X-B", "${resource}", ""), "header X-B can't hold a resource"},
		{"a header with a line break", head("X-B", "a\r\nHost: b", ""), "header X-B has a value with a control character"},
		{"a header with a blank at the end", head("X-B", "a ", ""), "a blank at one of its ends"},
		{"a header without a value", head("X-B", "", ""), "header X-B (the 2. one) has no value"},
		{"a signature form that isn't", func(d *resthook.Dialect) { d.Signature.Form = "md5" }, `signature form "md5" is none of body, sha256, timestamped`},
		{"a signature without form", func(d *resthook.Dialect) { d.Signature.Form = "" }, `signature form ""`},
		{"a signature without header", func(d *resthook.Dialect) { d.Signature.Header = "" }, "the signature has a form, but no header"},
		{"a signature in a reserved header", func(d *resthook.Dialect) { d.Signature.Header = "webhook-signature" }, "header webhook-signature is reserved"},
		{"a signature in an own header", func(d *resthook.Dialect) { d.Signature.Header = "x-acme-id" }, "both the signature's and one of the dialect's"},
		{"a header where a Subscription's signature would stand", func(d *resthook.Dialect) {
			d.Signature = resthook.Signature{}
			head("x-signature", "x", "")(d)
		}, "header X-Signature is where the signature stands"},
		{"no success", func(d *resthook.Dialect) { d.Success = nil }, "no status counts as success"},
		{"no timeout", func(d *resthook.Dialect) { d.Timeout = 0 }, "a timeout of 0s is impossible"},
		{"a timeout of an hour", func(d *resthook.Dialect) { d.Timeout = time.Hour }, "a timeout of 1h0m0s is impossible"},
		{"no ladder", func(d *resthook.Dialect) { d.Ladder = "" }, "no ladder of retries"},
		{"requests below zero", func(d *resthook.Dialect) { d.Requests = -1 }, "-1 requests are impossible"},
		{"no orders", func(d *resthook.Dialect) { d.Orders = nil }, "no orders"},
		{"an order that isn't", func(d *resthook.Dialect) { d.Orders = []string{"random"} }, `"random" is no order`},
		{"an order twice", func(d *resthook.Dialect) { d.Orders = []string{"none", "none"} }, "the order none is there twice"},
		{"no interactions", func(d *resthook.Dialect) { d.Interactions = nil }, "no interactions"},
		{"an interaction that isn't", func(d *resthook.Dialect) { d.Interactions = []string{"read"} }, `"read" is no interaction`},
		{"deletions without a message", func(d *resthook.Dialect) { d.Delete, d.Interactions = resthook.Form{}, []string{"delete"} }, "there is no message for them"},
		{"a case that isn't", func(d *resthook.Dialect) { d.Names.Case = "camel" }, `"camel" is no case of names`},
		{"a word that is two", func(d *resthook.Dialect) { d.Names.Updated = "was changed" }, `"was changed" can't be a word`},
		{"an event without a name", event(resthook.Event{Type: "Patient", Interactions: []string{"create"}}), `"" can't be the name of event 1 of the catalogue`},
		{"an event with a star", event(resthook.Event{Name: "a.*", Type: "Patient", Interactions: []string{"create"}}), `"a.*" can't be the name`},
		{"an event named ping", event(resthook.Event{Name: "ping", Type: "Patient", Interactions: []string{"create"}}), `"ping" can't be the name`},
		{"an event without a type", event(resthook.Event{Name: "a", Interactions: []string{"create"}}), "event a has no type"},
		{"an event without interactions", event(resthook.Event{Name: "a", Type: "Patient"}), "no interaction of event as"},
		{"an event of a read", event(resthook.Event{Name: "a", Type: "Patient", Interactions: []string{"read"}}), `"read" is no interaction of event a`},
		{"an event that enters nothing", event(resthook.Event{Name: "a", Type: "Patient", Interactions: []string{"create"}, Enters: true}), "event a enters, and has no criteria"},
		{"a declared pattern", func(d *resthook.Dialect) { d.Declares = []string{"*"} }, `"*" can't be declared`},
		{"declared twice", func(d *resthook.Dialect) { d.Declares = []string{"a", "a"} }, "a is declared twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := acme()
			if err := d.Check(); err != nil {
				t.Fatalf("the dialect to be spoiled is bad: %v", err)
			}
			tt.spoil(&d)
			err := d.Check()
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "dialect "+d.Name+": ") {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestDialect_Check_namesEveryProblem(t *testing.T) {
	d := acme()
	var want []string
	for _, spoil := range []struct {
		how  func(*resthook.Dialect)
		want string
	}{
		{func(d *resthook.Dialect) { d.Change.Body = "{" }, "body of change"},
		{func(d *resthook.Dialect) { d.Delete.Body = "${x}" }, "body of delete"},
		{func(d *resthook.Dialect) { d.Ping.Method = "HEAD" }, "ping has the method"},
		{head("Host", "x", ""), "header Host"},
		{func(d *resthook.Dialect) { d.Signature.Form = "md5" }, "md5"},
		{func(d *resthook.Dialect) { d.Success = nil }, "success"},
		{func(d *resthook.Dialect) { d.Timeout = -1 }, "timeout"},
		{func(d *resthook.Dialect) { d.Orders = nil }, "orders"},
		{event(resthook.Event{}), "has no type"},
	} {
		spoil.how(&d)
		want = append(want, spoil.want)
	}
	err := d.Check()
	for _, part := range want {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q isn't named in:\n%v", part, err)
		}
	}
}

// acme is a dialect that nothing is wrong with.
func acme() resthook.Dialect {
	return resthook.Dialect{
		Name:   "acme",
		Change: resthook.Form{Method: "POST", Body: `{"what":${event},"text":"${type}/${focus} was ${action}","it":${resource}}`},
		Delete: resthook.Form{Method: "DELETE", Address: resthook.AtResource},
		Ping:   resthook.Form{Method: "POST", Body: "{}"},

		ContentType: "application/cloudevents+json; charset=utf-8",
		Signature:   resthook.Signature{Header: "X-Acme-Signature", Form: resthook.FormSHA256},
		Headers:     []resthook.OwnHeader{{Name: "X-Acme-Id", Value: "${id}"}},

		Success: resthook.Codes{{From: 200, To: 204}}, Timeout: time.Second, Ladder: "1s", Orders: []string{"none"}, Interactions: []string{"create"},
	}
}

func head(name, value, only string) func(*resthook.Dialect) {
	return func(d *resthook.Dialect) {
		d.Headers = append(d.Headers, resthook.OwnHeader{Name: name, Value: value, On: only})
	}
}

func event(e resthook.Event) func(*resthook.Dialect) {
	return func(d *resthook.Dialect) { d.Events = append(d.Events, e) }
}
