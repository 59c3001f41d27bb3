package subscription

import (
	"testing"

	"fhirhook/channel/resthook"
)

// TestHint_everyClassHasOne: an operator who reads a class is told where to look.
func TestHint_everyClassHasOne(t *testing.T) {
	t.Parallel()
	for _, class := range []string{
		resthook.ClassDNS, resthook.ClassRefused, resthook.ClassReset, resthook.ClassUnreachable, resthook.ClassTimeoutConnect,
		resthook.ClassTimeoutReply, resthook.ClassTLS, resthook.ClassBlocked, resthook.ClassProxy, resthook.ClassAuth, resthook.ClassRedirect, resthook.ClassStatus2xx,
		resthook.ClassStatus4xx, resthook.ClassStatus410, resthook.ClassStatus429, resthook.ClassStatus5xx, resthook.ClassMalformed,
		resthook.ClassMessage, resthook.ClassLocal, ClassPurged, classUnbuilt, classGivenUp,
	} {
		if Hint(class, 400) == "" {
			t.Errorf("%s has no hint", class)
		}
	}
	if got := Hint("", 200); got != "" {
		t.Errorf("a success has the hint %q", got)
	}
}
