package auth

import (
	"strings"
)

// mostTokenBytes bounds what is looked at of a token.
const mostTokenBytes = 8 << 10

// bearerToken takes the token out of the values of the Authorization header (RFC 6750 section 2.1).
func bearerToken(values []string) (string, *RefusedError) {
	switch {
	case len(values) == 0, len(values) == 1 && values[0] == "":
		return "", refuse(Missing, "this server wants to know who calls: send a token, as in Authorization: Bearer TOKEN")
	case len(values) > 1:
		return "", refuse(Malformed, "there is more than one Authorization header: send one")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", refuse(Malformed, "the Authorization header is not of the scheme Bearer, the only one here")
	case len(token) > mostTokenBytes:
		return "", refuse(Malformed, "the token is longer than 8 KiB")
	}
	token = strings.TrimLeft(token, " ")
	if !token68(token) {
		return "", refuse(Malformed, "behind Bearer stands no single token: a token is made of letters, digits and -._~+/ only, with = at its end")
	}
	return token, nil
}

// token68 tells whether s is made as credentials are (RFC 9110 section 11.2).
func token68(s string) bool {
	body := strings.TrimRight(s, "=")
	if body == "" {
		return false
	}
	for i := range len(body) {
		switch c := body[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return true
}
