package handlers

import (
	"context"
	"net/http"
	"strings"

	"github.com/zmsg/zmsg/api"
)

// live answers as long as the process can answer at all.
func (s *server) live(_ context.Context, w *response, _ *http.Request) error {
	w.Header()["Cache-Control"] = noStore
	writeJSON(w, http.StatusOK, marshal(api.Health{Status: api.HealthStatusOk}))
	return nil
}

// ready answers whether every check is passed.
func (s *server) ready(ctx context.Context, w *response, r *http.Request) error {
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	checks := s.Ready(ctx)
	status := api.HealthStatusOk
	for _, c := range checks {
		if s := checkStatus(c); severity[s] > severity[status] {
			status = s
		}
	}
	h := w.Header()
	h["Cache-Control"] = noStore
	code := http.StatusOK
	if status == api.HealthStatusUnavailable {
		code = http.StatusServiceUnavailable
		h.Set("Retry-After", "1")
	}
	verbose := q.Has("verbose")
	if verbose && strings.HasPrefix(r.Header.Get("Accept"), "text/plain") {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(checksText(checks, status))) // a client that is gone needs no answer
		return nil
	}
	answer := api.Health{Status: status}
	if verbose {
		list := checksJSON(checks)
		answer.Checks = &list
	}
	writeJSON(w, code, marshal(answer))
	return nil
}

func checksJSON(checks []Check) []api.HealthCheck {
	list := make([]api.HealthCheck, 0, len(checks))
	for _, c := range checks {
		item := api.HealthCheck{Name: c.Name, Status: checkStatus(c)}
		if c.Detail != "" {
			item.Detail = &c.Detail
		}
		list = append(list, item)
	}
	return list
}

// checksText lists the checks in the form that Kubernetes uses.
func checksText(checks []Check, status api.HealthStatus) string {
	var b strings.Builder
	for _, c := range checks {
		mark := "[+] "
		if !c.OK && !c.Degraded {
			mark = "[-] "
		}
		b.WriteString(mark + c.Name + " " + string(checkStatus(c)))
		if c.Detail != "" {
			b.WriteString(": " + c.Detail)
		}
		b.WriteByte('\n')
	}
	b.WriteString(string(status) + "\n")
	return b.String()
}

var severity = map[api.HealthStatus]int{api.HealthStatusOk: 0, api.HealthStatusDegraded: 1, api.HealthStatusUnavailable: 2}

func checkStatus(c Check) api.HealthStatus {
	switch {
	case c.OK:
		return api.HealthStatusOk
	case c.Degraded:
		return api.HealthStatusDegraded
	default:
		return api.HealthStatusUnavailable
	}
}
