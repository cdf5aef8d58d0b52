package handlers_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"

	"github.com/zmsg/zmsg/handlers"
)

func TestRoutesAreTheContract(t *testing.T) {
	t.Parallel()
	routes := map[string]bool{}
	h := newHandler(t, deps(newFake(), testConfig()))
	err := chi.Walk(h.Routes(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes[method+" "+route] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	operations := map[string]bool{}
	for path, item := range contract().doc.Paths.Map() {
		for method := range item.Operations() {
			operations[method+" "+path] = true
		}
	}
	for r := range routes {
		if !operations[r] {
			t.Errorf("%s is served, but not in the contract", r)
		}
	}
	for o := range operations {
		if !routes[o] {
			t.Errorf("%s is in the contract, but not served", o)
		}
	}
}

// TestExamples sends every example of the contract: each body with the required parameters, then with each
// optional parameter. The seeded item is the one that the examples speak of.
func TestExamples(t *testing.T) {
	t.Parallel()
	for path, item := range contract().doc.Paths.Map() {
		for method, op := range item.Operations() {
			params := slices.Concat(item.Parameters, op.Parameters)
			for name, c := range exampleCalls(t, method, path, op) {
				t.Run(op.OperationID+"/"+name, func(t *testing.T) {
					t.Parallel()
					sendExample(t, c, params, nil)
					for _, p := range params {
						if !p.Value.Required && p.Value.Example != nil {
							sendExample(t, c, params, p.Value)
						}
					}
				})
			}
		}
	}
}

// exampleCalls returns a call for each example of the body, or one without a body.
func exampleCalls(t *testing.T, method, path string, op *openapi3.Operation) map[string]call {
	t.Helper()
	calls := map[string]call{}
	if op.RequestBody == nil {
		calls["plain"] = call{method: method, path: path}
		return calls
	}
	for media, content := range op.RequestBody.Value.Content {
		if len(content.Examples) == 0 {
			t.Errorf("%s: no example of %s", op.OperationID, media)
		}
		for name, ex := range content.Examples {
			body, err := json.Marshal(ex.Value.Value)
			if err != nil {
				t.Fatal(err)
			}
			calls[media+" "+name] = call{
				method: method, path: path, body: string(body), headers: []string{"Content-Type", "", "Content-Type", media},
			}
		}
	}
	return calls
}

// sendExample sends c with the required parameters and at most one other. Without the other it must succeed;
// with it, a precondition may fail and a copy may be current.
func sendExample(t *testing.T, c call, params openapi3.Parameters, other *openapi3.Parameter) {
	t.Helper()
	c.headers = slices.Clone(c.headers)
	query := url.Values{}
	for _, ref := range params {
		p := ref.Value
		if !p.Required && p != other {
			continue
		}
		values, ok := p.Example.([]any)
		if !ok {
			values = []any{p.Example}
		}
		for _, v := range values {
			text, ok := v.(string)
			if !ok {
				b, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				text = string(b)
			}
			switch p.In {
			case "path":
				c.path = strings.ReplaceAll(c.path, "{"+p.Name+"}", text)
			case "query":
				query.Add(p.Name, text)
			case "header":
				c.headers = append(c.headers, p.Name, text)
			}
		}
	}
	if len(query) > 0 {
		c.path += "?" + query.Encode()
	}
	w := send(t, newHandler(t, deps(newFake(), testConfig())), c)
	expected := w.Code < 300
	if other != nil && strings.HasPrefix(other.Name, "If-None-Match") {
		expected = w.Code == http.StatusNotModified || w.Code == http.StatusPreconditionFailed
	}
	if !expected {
		t.Errorf("%s %s %v: status %d\n%s", c.method, c.path, c.headers, w.Code, w.Body)
	}
}

func TestContractIsServedAsJSON(t *testing.T) {
	t.Parallel()
	d := deps(newFake(), testConfig())
	d.OpenAPI = contract().yaml
	w := send(t, newHandler(t, d), call{method: http.MethodGet, path: "/openapi.json"})
	wantStatus(t, w, http.StatusOK)
	if !bytes.HasPrefix(w.Body.Bytes(), []byte(`{"openapi":"3.0.3","info":{"title":"zmsg"`)) {
		t.Errorf("the order of the members is lost: %.80s", w.Body)
	}
	served, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Sorted(maps.Keys(contract().doc.Paths.Map()))
	if got := slices.Sorted(maps.Keys(served.Paths.Map())); !slices.Equal(got, want) {
		t.Errorf("paths %v, want %v", got, want)
	}
	served.Servers = nil
	a, errA := json.Marshal(served)
	b, errB := json.Marshal(contract().doc)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("the served contract differs from the file (%v, %v)", errA, errB)
	}
}

func TestContractMustBeYAML(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{"Empty": "", "Broken": "a: [", "Alias": "a: &x 1\nb: *x\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deps(newFake(), testConfig())
			d.OpenAPI = []byte(data)
			if _, err := handlers.New(d); err == nil {
				t.Error("accepted")
			}
		})
	}
}
