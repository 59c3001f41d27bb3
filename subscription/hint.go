package subscription

import "fmt"

// hints say of each error class what to look at.
var hints = map[string]string{
	"dns":             "the endpoint's host name has no address: look at its spelling and at the name server",
	"refused":         "nothing listens on the endpoint's port: is the receiver running?",
	"reset":           "the connection ended before a reply: look at the receiver's log, and at proxies between",
	"unreachable":     "there is no way to the host: look at routes and firewalls",
	"timeout-connect": "no connection in time: a firewall may drop the packets",
	"timeout-reply":   "the receiver did not answer in time: it should answer first and work afterwards",
	"tls":             "look at the endpoint's certificate, its chain and its expiry",
	"blocked":         "this server's policy forbids the address: --allow-endpoint opens one",
	"proxy":           "the operator's forward proxy made no connection: look at --proxy, and at what the proxy allows",
	"auth":            "there is no token for the endpoint, or none that it takes: look at the section endpoints of the configuration",
	"redirect":        "redirects are not followed: name the final URL as endpoint",
	"status-2xx":      "the dialect does not count this status as a success",
	"status-410":      "the endpoint wants no more: the Subscription was switched off",
	"status-429":      "the receiver asks for a slower pace",
	"status-5xx":      "the receiver failed: look at its log",
	"malformed":       "what came back is not HTTP: does the endpoint name the right port?",
	"message":         "no request can be made of it: look at the Subscription's channel and extensions",
	"unbuilt":         "no request could be made of it: look at the Subscription's channel and extensions",
	"local":           "this server had no socket or port to spare: raise its limits",
	"purged":          "the version is not stored any more",
	"given-up":        "the endpoint failed until the time for this notification was over: fhirhook redeliver sends it again",
}

// Hint says what to look at after an attempt that failed with a class and an HTTP status (0: there was none); "" for
// a success. It tells nothing of the attempt itself, so that it can be shown to anyone.
func Hint(class string, status int) string {
	switch {
	case class == "status-4xx" && (status == 401 || status == 403):
		return "the receiver does not know the credentials: look at channel.header and the secret"
	case class == "status-4xx" && status == 404:
		return "the receiver knows no such path: look at the endpoint's"
	case class == "status-4xx":
		return fmt.Sprintf("the receiver does not take the request (%d): look at its log", status)
	default:
		return hints[class]
	}
}
