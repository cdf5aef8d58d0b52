package service

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// rfc7396 is the table of RFC 7396, appendix A.
var rfc7396 = []struct{ target, patch, want string }{
	{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
	{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
	{`{"a":"b"}`, `{"a":null}`, `{}`},
	{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
	{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
	{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
	{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
	{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
	{`["a","b"]`, `["c","d"]`, `["c","d"]`},
	{`{"a":"b"}`, `["c"]`, `["c"]`},
	{`{"a":"foo"}`, `null`, `null`},
	{`{"a":"foo"}`, `"bar"`, `"bar"`},
	{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
	{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
	{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
}

func TestMergePatch(t *testing.T) {
	t.Parallel()
	cases := slices.Concat(rfc7396, []struct{ target, patch, want string }{
		// What is not mentioned keeps its bytes and its place.
		{`{"z":1.0e+2, "a" : [ 1 , {"x":null} ], "b":"\u00e9"}`, `{"y":1}`, `{"z":1.0e+2,"a":[ 1 , {"x":null} ],"b":"\u00e9","y":1}`},
		{`{"a":1,"b":2,"c":3}`, `{"b":9}`, `{"a":1,"b":9,"c":3}`},
		{`{"n":{"deep": {"k" :1}, "o":2}}`, `{"n":{"o":3}}`, `{"n":{"deep":{"k" :1},"o":3}}`},
		// Names are compared by what they spell.
		{`{"\u0061":1}`, `{"a":2}`, `{"\u0061":2}`},
		{`{"a\"]}":1,"b":[{"]":"}"}]}`, `{"a\"]}":null}`, `{"b":[{"]":"}"}]}`},
		// Of equal names the last one counts.
		{`{"a":{"x":1},"b":0,"a":{"y":2}}`, `{"a":{"z":3}}`, `{"a":{"y":2,"z":3},"b":0}`},
		{`{"a":1,"a":2}`, `{"a":null}`, `{}`},
		{`{}`, `{"a":1,"a":null,"b":1,"b":2}`, `{"b":2}`},
		{` { } `, ` { "a" : 1 } `, `{"a":1}`},
		{`{"a":1}`, ` {} `, `{"a":1}`},
	})
	for _, c := range cases {
		if got := string(mergePatch([]byte(c.target), []byte(c.patch))); got != c.want {
			t.Errorf("%s patched by %s is %s, want %s", c.target, c.patch, got, c.want)
		}
	}
}

// A patch as deep as the JSON decoder admits must cost time in proportion to its size.
func TestMergePatch_Deep(t *testing.T) {
	t.Parallel()
	const depth = 9_000
	deep := func(leaf string) []byte {
		return []byte(strings.Repeat(`{"a":`, depth) + leaf + strings.Repeat("}", depth))
	}
	if got := mergePatch(deep(`{"x":1}`), deep(`{"y":2}`)); !bytes.Equal(got, deep(`{"x":1,"y":2}`)) {
		t.Errorf("merged to %d bytes", len(got))
	}
}

func FuzzMergePatch(f *testing.F) {
	for _, c := range rfc7396 {
		f.Add([]byte(c.target), []byte(c.patch))
	}
	f.Add([]byte(`{"a":1,"a":{"b":[]}}`), []byte(`{"a":{"\u0062":null,"c":{"d":null}}}`))
	f.Fuzz(func(t *testing.T, target, patch []byte) {
		if !validJSON(target) || !validJSON(patch) {
			return
		}
		got := mergePatch(target, patch)
		if !validJSON(got) {
			t.Fatalf("%s patched by %s is no JSON: %s", target, patch, got)
		}
		if want := naiveMerge(decode(t, target), decode(t, patch)); !reflect.DeepEqual(decode(t, got), want) {
			t.Fatalf("%s patched by %s is %s, want %v", target, patch, got, want)
		}
	})
}

// naiveMerge is the pseudocode of RFC 7396, section 2.
func naiveMerge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged, ok := target.(map[string]any)
	if !ok {
		merged = map[string]any{}
	}
	for name, v := range changes {
		if v == nil {
			delete(merged, name)
		} else {
			merged[name] = naiveMerge(merged[name], v)
		}
	}
	return merged
}

func decode(t *testing.T, b []byte) (v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}
