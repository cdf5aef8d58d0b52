package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/zmsg/zmsg/model"
)

// counters handles the requests about counters.
func (f *fake) counters(r *http.Request, body []byte) (int, []byte) {
	switch r.URL.Path {
	case "/counters:batchIncrement":
		return http.StatusMultiStatus, f.increment(r.Header.Get("Idempotency-Key"), body)
	case "/counters:batchGet":
		return http.StatusMultiStatus, f.countsGet(body)
	}
	names := strings.Split(strings.TrimPrefix(r.URL.Path, "/counters/"), "/")
	if len(names) == 1 {
		return http.StatusOK, f.subject(names[0])
	}
	c := model.Counter{Subject: names[0], Metric: names[1]}
	key := r.Header.Get("Idempotency-Key")
	if r.Method == http.MethodGet {
		return http.StatusOK, f.countJSON(c)
	}
	if r.Method == http.MethodDelete {
		f.count(key, c, func() { delete(f.counts, c) })
		return http.StatusNoContent, nil
	}
	var change struct {
		Delta int64 `json:"delta"`
		Value int64 `json:"value"`
	}
	if err := json.Unmarshal(body, &change); err != nil {
		return http.StatusBadRequest, nil
	}
	return http.StatusOK, f.count(key, c, func() {
		if r.Method == http.MethodPut {
			f.counts[c] = change.Value
		} else {
			f.counts[c] += change.Delta
		}
	})
}

// count runs change unless the key is known, and returns the counter as it is after that.
func (f *fake) count(key string, c model.Counter, change func()) []byte {
	name := c.String() + " " + key
	if answer, known := f.keys[name]; known && key != "" {
		return answer
	}
	change()
	f.keys[name] = f.countJSON(c)
	return f.keys[name]
}

func (f *fake) countJSON(c model.Counter) []byte {
	return fmt.Appendf(nil, `{"subject":"%s","metric":"%s","value":%d,"durability":"committed"}`, c.Subject, c.Metric, f.counts[c])
}

func (f *fake) subject(subject string) []byte {
	values := map[string]int64{}
	for c, value := range f.counts {
		if c.Subject == subject && value != 0 {
			values[c.Metric] = value
		}
	}
	body, err := json.Marshal(map[string]any{"subject": subject, "values": values})
	if err != nil {
		panic(err)
	}
	return body
}

// increment does a batch of increments. Being faulty it may lose single ones, or the answers to them.
func (f *fake) increment(key string, body []byte) []byte {
	var req struct {
		Items []struct {
			model.Counter
			Delta int64  `json:"delta"`
			Key   string `json:"idempotency_key"`
		} `json:"items"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		panic(err)
	}
	results := make([]string, len(req.Items))
	for i, item := range req.Items {
		if key != "" {
			item.Key = fmt.Sprintf("%s %d", key, i)
		}
		fault := 99
		if f.faulty {
			fault = f.rng.IntN(5000)
		}
		value := []byte("{}")
		if fault != 0 {
			value = f.count(item.Key, item.Counter, func() { f.counts[item.Counter] += item.Delta })
		}
		status := http.StatusOK
		if fault <= 1 {
			status, value = http.StatusServiceUnavailable, []byte("{}")
		}
		results[i] = fmt.Sprintf(`{"index":%d,"status":%d,%s`, i, status, strings.Replace(string(value), "{", "", 1))
		results[i] = strings.Replace(results[i], ",}", "}", 1)
	}
	return fmt.Appendf(nil, `{"items":[%s]}`, strings.Join(results, ","))
}

func (f *fake) countsGet(body []byte) []byte {
	var req struct {
		Items []model.Counter `json:"items"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		panic(err)
	}
	results := make([]string, len(req.Items))
	for i, c := range req.Items {
		results[i] = fmt.Sprintf(`{"index":%d,"status":200,%s`, i, f.countJSON(c)[1:])
	}
	return fmt.Appendf(nil, `{"items":[%s]}`, strings.Join(results, ","))
}
