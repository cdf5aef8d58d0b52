package handlers

import (
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the HTTP face measures.
type metrics struct {
	latency *prometheus.HistogramVec
	panics  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "zmsg_http_request_duration_seconds",
			Help:    "Time from the headers of a request to the end of its handler, by route.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}, []string{"method", "route", "status"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "zmsg_http_panics_total",
			Help: "Panics of handlers. Each is a defect.",
		}),
	}
	if err := errors.Join(r.Register(m.latency), r.Register(m.panics)); err != nil {
		return nil, err
	}
	return m, nil
}

// routeLatency observes the requests of one route. Observers are looked up once for each class of status.
type routeLatency struct {
	vec           *prometheus.HistogramVec
	method, route string
	classes       [6]atomic.Pointer[prometheus.Observer]
}

func (m *metrics) route(method, route string) *routeLatency {
	return &routeLatency{vec: m.latency, method: method, route: route}
}

// observe records a request. Status 0 is a handler that wrote nothing, which the server answers with 200.
func (l *routeLatency) observe(status int, took time.Duration) {
	class := status / 100
	if class == 0 {
		class = 2
	}
	if class >= len(l.classes) {
		class = 5
	}
	o := l.classes[class].Load()
	if o == nil {
		found := l.vec.WithLabelValues(l.method, l.route, strconv.Itoa(class)+"xx")
		o = &found
		l.classes[class].Store(o)
	}
	(*o).Observe(took.Seconds())
}
