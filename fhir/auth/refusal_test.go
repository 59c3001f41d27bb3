package auth_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fhirhook/fhir"
	"fhirhook/fhir/auth"
)

func TestRefusal_Challenge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		refusal *auth.RefusedError
		want    string
	}{
		{&auth.RefusedError{Reason: auth.Missing, Text: "x"}, `Bearer realm="fhirhook"`},
		{&auth.RefusedError{Reason: auth.Expired, Text: "it is over"}, `Bearer realm="fhirhook", error="invalid_token", error_description="it is over"`},
		{&auth.RefusedError{Reason: auth.Malformed, Text: "a \"b\" \\ ö\r\nX: y"}, `Bearer realm="fhirhook", error="invalid_token", error_description="a 'b' ' ???X: y"`},
		{
			caller(t, "", "system/Patient.r").Refuse(auth.Create, "Observation"),
			`Bearer realm="fhirhook", error="insufficient_scope", error_description="the token does not allow this: it needs a scope such as system/Observation.c", scope="system/Observation.c"`,
		},
		{auth.RefuseAdmin(), `Bearer realm="fhirhook", error="insufficient_scope", error_description="only an administrator's token allows this", scope="fhirhook/admin"`},
	} {
		if diff := cmp.Diff(tt.want, tt.refusal.Challenge()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRefusal_kinds(t *testing.T) {
	t.Parallel()
	for reason := auth.Missing; reason <= auth.Insufficient; reason++ {
		want := fhir.Unauthenticated
		if reason == auth.Insufficient {
			want = fhir.Forbidden
		}
		err := &auth.RefusedError{Reason: reason, Text: "for the client", Err: errors.New("for the log")}
		e, ok := errors.AsType[*fhir.Error](err)
		if !ok || e.Kind != want || e.Diagnostic != "for the client" || e.Err == nil {
			t.Errorf("%d: %+v", reason, e)
		}
	}
}
