package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fhirhook/channel/resthook"
	"fhirhook/fhir/auth"
	"fhirhook/fhir/rest"
	"fhirhook/fhir/validate"
	"fhirhook/subscription"
)

// ErrConfiguration marks an error that the operator mends in flags, environment or configuration file.
var ErrConfiguration = errors.New("configuration")

// Options are the settings of a server. cmd/fhirhook holds their defaults.
type Options struct {
	Listen string
	Data   string
	// Keys is where the master key of Data comes from; EncryptResources encrypts all of it, and not only secrets.
	Keys             Keys
	EncryptResources bool
	Auth             auth.Config // who may call
	BaseURL          string
	TrustedProxies   []string
	Dev              bool
	AllowEndpoints   []string
	AllowHTTP        []string
	Dialect          string
	Dialects         []resthook.Dialect // beside the built-in ones
	// SearchParameters is a folder with definitions beside R4's, for all tenants; "" for none.
	SearchParameters string
	ErrorAfter       string // failures,duration
	OffAfter         time.Duration
	KeepAttempts     time.Duration // 0 is 30 days
	// EndpointConcurrency and EndpointRate bound what one origin of endpoints is asked to take: requests under way, and
	// requests a second. 0 is no bound.
	EndpointConcurrency int
	EndpointRate        float64
	MaxBody             int64
	MaxBundle           int64
	Validation          string // off, structure or strict; "" is structure
	DeleteMultiple      bool   // conditional deletes may delete several
	Inbound
	Outbound
	Auditing
	History
	Drain   time.Duration
	Version string
	Log     *slog.Logger `json:"-"`
	Ready   func()       `json:"-"` // called once, when a server that runs is ready; nil: nobody is told

	offline bool // don't listen
}

// settings is Options after they were read and found good.
type settings struct {
	proxies    []netip.Prefix
	peers      []netip.Prefix // who may connect; nil: everybody
	anonymous  bool           // nobody authenticates
	errorTries int
	errorAfter time.Duration
	baseURL    string
	validation validate.Mode
}

// problems collects everything that is wrong, so that one start tells all of it.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrConfiguration, errors.Join(p...))
}

// read checks the options one by one and returns what they mean.
func (o Options) read() (settings, problems) {
	var s settings
	var p problems
	o.readProxies(&s, &p)
	if !o.offline {
		o.readInbound(&s, &p)
	}
	o.readErrorAfter(&s, &p)
	if o.OffAfter <= 0 {
		p.add("--off-after %s must be above zero", o.OffAfter)
	}
	if o.Drain < 0 {
		p.add("--drain %s must not be below zero", o.Drain)
	}
	if o.endpointLimits().Check() != nil {
		p.add("--endpoint-concurrency %d and --endpoint-rate %v must not be below zero; 0 is no limit", o.EndpointConcurrency, o.EndpointRate)
	}
	o.checkAudit(&p)
	o.checkHistory(&p)
	if o.KeepAttempts < 0 {
		p.add("--keep-attempts %s must not be below zero", o.KeepAttempts)
	}
	if o.MaxBody <= 0 || o.MaxBundle < o.MaxBody {
		p.add("--max-body %d must be above zero, and --max-bundle %d not below it", o.MaxBody, o.MaxBundle)
	}
	s.validation = validate.Structure
	if o.Validation != "" {
		var err error
		if s.validation, err = validate.ParseMode(o.Validation); err != nil {
			p.add("--validation: %w", err)
		}
	}
	if o.BaseURL != "" {
		u, err := url.Parse(o.BaseURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			p.add("--base-url %s must be an http or https URL without query, fragment and user", o.BaseURL)
		} else if s.baseURL = strings.TrimRight(o.BaseURL, "/"); strings.Trim(u.Path, "/") == "" {
			s.baseURL += rest.Prefix
		}
	}
	return s, p
}

func (o Options) endpointLimits() subscription.EndpointLimits {
	return subscription.EndpointLimits{Concurrency: o.EndpointConcurrency, Rate: o.EndpointRate}
}

func (o Options) readErrorAfter(s *settings, p *problems) {
	tries, age, ok := strings.Cut(o.ErrorAfter, ",")
	n, err := strconv.Atoi(tries)
	d, durationErr := time.ParseDuration(age)
	if !ok || err != nil || durationErr != nil || n < 1 || d <= 0 {
		p.add("--error-after %s: name consecutive failures and a time, as in 10,1h", o.ErrorAfter)
		return
	}
	s.errorTries, s.errorAfter = n, d
}
