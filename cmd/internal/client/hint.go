package client

import "fhirhook/subscription"

// hint is the hint for an attempt of a server that gives none; "" for a success.
func hint(class string, status uint64) string { return subscription.Hint(class, int(status)) }
