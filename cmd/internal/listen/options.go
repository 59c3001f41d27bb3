package listen

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"fhirhook/channel/resthook"
)

// Options are the settings of a receiver. The zero value of each but Addr works.
type Options struct {
	Addr      string             // host:port; port 0 takes a free one
	Anywhere  bool               // Addr need not be loopback
	Secrets   []string           // signatures are checked against all of them; none: found, not checked
	Status    int                // of the answers; 0: 200
	FailFirst int                // so many requests are answered with Status, 500 if that is a success; later ones with 200
	Delay     time.Duration      // before each answer
	JSON      bool               // a JSON object a line
	Body      bool               // print bodies too
	Dialects  []resthook.Dialect // beside the built-in ones: their signature headers are checked too
	Ready     func(url string)
}

// Check reports everything that is wrong with the options, joined.
func (o Options) Check() error {
	var errs []error
	host, _, err := net.SplitHostPort(o.Addr)
	if err != nil {
		errs = append(errs, fmt.Errorf("--addr %s: name host and port, as in 127.0.0.1:9000", o.Addr))
	} else if a, err := netip.ParseAddr(host); host != "localhost" && !o.Anywhere && (err != nil || !a.IsLoopback()) {
		errs = append(errs, fmt.Errorf("--addr %s is reachable from outside: listen on 127.0.0.1, or allow it explicitly", o.Addr))
	}
	if o.Status != 0 && (o.Status < 200 || o.Status > 599) {
		errs = append(errs, fmt.Errorf("--status %d must lie between 200 and 599", o.Status))
	}
	if o.FailFirst < 0 {
		errs = append(errs, fmt.Errorf("--fail-first %d must not be negative", o.FailFirst))
	}
	if o.Delay < 0 {
		errs = append(errs, fmt.Errorf("--delay %s must not be negative", o.Delay))
	}
	return errors.Join(errs...)
}

// status is the answer to the n-th request, from 1.
func (o Options) status(n int) int {
	switch {
	case o.FailFirst > 0 && n > o.FailFirst:
		return http.StatusOK
	case o.FailFirst > 0 && o.Status < 300:
		return http.StatusInternalServerError
	case o.Status != 0:
		return o.Status
	default:
		return http.StatusOK
	}
}
