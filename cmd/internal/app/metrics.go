package app

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fhirhook/subscription"
)

// metrics are what /metrics shows. Labels hold no tenant, id or URL, so that their number stays small and
// nothing leaks.
type metrics struct {
	registry *prometheus.Registry
	attempts *prometheus.CounterVec
	duration prometheus.Histogram
	statuses prometheus.Counter
	heldBack prometheus.Counter
}

// newMetrics registers everything; gauges ask the server when they are read.
func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fhirhook_delivery_attempts_total",
			Help: "Requests to endpoints, by error class (empty: delivered) and what became of the notification.",
		}, []string{"class", "state"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "fhirhook_delivery_attempt_seconds",
			Help:    "How long a request to an endpoint took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
		statuses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fhirhook_subscription_status_changes_total",
			Help: "Status changes that the server made on Subscriptions.",
		}),
	}
	m.heldBack = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fhirhook_endpoint_deferrals_total",
		Help: "How often a Subscription had something to send and had to wait for its turn, because its endpoint's origin was at its limit.",
	})
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.attempts, m.duration, m.statuses, m.heldBack,
		gauge("fhirhook_log_lag_changes", "Changes that are committed and not yet matched.", func() float64 {
			last, err := s.last(context.Background())
			if err != nil {
				return -1
			}
			return float64(last - min(last, s.matcher.Place()))
		}),
		gauge("fhirhook_index_lag_changes", "Changes that are committed and not yet in the search index.", func() float64 {
			last, err := s.last(context.Background())
			if err != nil {
				return -1
			}
			return float64(last - min(last, s.index.Place()))
		}),
		gauge("fhirhook_search_parameter_index_lag_changes", "Changes that are not yet indexed by the search parameters that clients define.", func() float64 {
			p := s.own.Progress()
			return float64(p.Of - min(p.Of, p.Done))
		}),
		gauge("fhirhook_lanes_active", "Subscriptions with something to send.", func() float64 {
			return float64(s.deliverer.Stats().Lanes)
		}),
		gauge("fhirhook_lanes_waiting_for_endpoint", "Subscriptions that wait for their turn at an endpoint's origin.", func() float64 {
			return float64(s.deliverer.Stats().Waiting)
		}),
		gauge("fhirhook_lanes_throttled", "Subscriptions that wait until their tenant may send more (quota notifications).", func() float64 {
			return float64(s.deliverer.Stats().Throttled)
		}),
		gauge("fhirhook_requests_in_flight", "Requests to endpoints under way.", func() float64 {
			return float64(s.deliverer.Stats().InFlight)
		}),
		gauge("fhirhook_oldest_due_seconds", "How long the notification that is due longest has waited.", func() float64 {
			oldest := s.deliverer.Stats().OldestDue
			if oldest.IsZero() {
				return 0
			}
			return max(0, time.Since(oldest).Seconds())
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "fhirhook_expression_failures_total",
			Help: "FHIRPath criteria that could not be evaluated, and so did not hold: see the log.",
		}, func() float64 { return float64(s.matcher.Undecided()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "fhirhook_audit_events_total", Help: "What the audit trail has taken since the start.",
		}, func() float64 { return float64(s.audit.Stats().Recorded) }),
		gauge("fhirhook_audit_failing", "1 while the audit trail can't be written, and requests are refused.", func() float64 {
			if s.audit.Stats().Failing {
				return 1
			}
			return 0
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "fhirhook_history_purged_versions_total", Help: "Old versions whose content was removed since the start (--keep-history).",
		}, func() float64 { return float64(s.history.Stats().Versions) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "fhirhook_history_purged_bytes_total", Help: "Bytes of JSON of those.",
		}, func() float64 { return float64(s.history.Stats().Bytes) }),
		gauge("fhirhook_history_held_versions", "Old versions that are kept longer because they are owed to a Subscription.", func() float64 {
			return float64(s.history.Stats().Held)
		}),
		gauge("fhirhook_history_kept_since_timestamp_seconds", "From when on all versions are kept; 0: from the beginning.", func() float64 {
			if since := s.history.Stats().Since; !since.IsZero() {
				return float64(since.UnixMilli()) / 1000
			}
			return 0
		}),
		gauge("fhirhook_subscriptions_broken", "Subscriptions that can't be compiled and hold the matcher up.", func() float64 {
			return float64(s.matcher.Broken())
		}),
	)
	return m
}

// handler shows them.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// observe counts what the deliverer reports.
func (m *metrics) observe(o subscription.Observation) {
	switch o.Kind {
	case subscription.Attempted:
		m.attempts.WithLabelValues(o.Class, o.State.String()).Inc()
		m.duration.Observe(o.Duration.Seconds())
	case subscription.StatusWritten:
		m.statuses.Inc()
	case subscription.LaneHeldBack:
		m.heldBack.Inc()
	default: // the rest shows in the gauges and in the log
	}
}
