package handlers

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/zmsg/zmsg/model"
)

const maxIdempotencyKey = 255

// splitList calls yield with each element of a comma-separated header, trimmed, until it returns false.
// Commas within quoted strings do not separate.
func splitList(lines []string, yield func(element string) bool) {
	for _, line := range lines {
		start, quoted := 0, false
		for i := 0; i <= len(line); i++ {
			if i < len(line) && line[i] == '"' {
				quoted = !quoted
			}
			if i < len(line) && (quoted || line[i] != ',') {
				continue
			}
			if e := strings.Trim(line[start:i], " \t"); e != "" && !yield(e) {
				return
			}
			start = i + 1
		}
	}
}

// wantsExact reports whether r asks for an answer that no cache may have outlived.
func wantsExact(r *http.Request) bool {
	lines := r.Header["Cache-Control"]
	if len(lines) == 0 {
		return false
	}
	exact := false
	splitList(lines, func(e string) bool {
		exact = strings.EqualFold(e, "no-cache")
		return !exact
	})
	return exact
}

// wantsAsync reports whether r prefers to be answered before the work is done (RFC 7240).
func wantsAsync(r *http.Request) bool {
	lines := r.Header["Prefer"]
	if len(lines) == 0 {
		return false
	}
	async := false
	splitList(lines, func(e string) bool {
		name, _, _ := strings.Cut(e, ";")
		async = strings.EqualFold(strings.TrimRight(name, " \t"), "respond-async")
		return !async
	})
	return async
}

// etagOf returns the ETag of a version.
func etagOf(v model.Version) string {
	var b [24]byte
	return string(append(strconv.AppendInt(append(b[:0], '"'), int64(v), 10), '"'))
}

// notModified reports whether the client holds the version that etag names. Weak tags count as well.
func notModified(r *http.Request, etag string) bool {
	lines := r.Header["If-None-Match"]
	if len(lines) == 0 {
		return false
	}
	held := len(lines) == 1 && lines[0] == etag
	if !held {
		splitList(lines, func(e string) bool {
			held = e == "*" || strings.TrimPrefix(e, "W/") == etag
			return !held
		})
	}
	return held
}

// errChanged is a precondition that no state of the item can meet.
var errChanged = &model.Error{
	Kind: model.PreconditionFailed, Field: "If-Match", Message: "no version of an item has this ETag",
}

// parseIfMatch returns the condition of If-Match. Tags that are weak, or that this service never gave,
// match nothing; if there are only such, the request has failed already.
func parseIfMatch(r *http.Request) (model.Cond, error) {
	lines, given := r.Header["If-Match"]
	if !given {
		return model.Cond{}, nil
	}
	var (
		cond      model.Cond
		tags      int
		malformed bool
	)
	splitList(lines, func(e string) bool {
		tags++
		if e == "*" {
			cond.Exists = true
			return true
		}
		opaque, weak := strings.CutPrefix(e, "W/")
		if !isETag(opaque) {
			malformed = true
			return false
		}
		if v, err := model.ParseVersion(opaque[1 : len(opaque)-1]); err == nil && !weak {
			cond.Match = append(cond.Match, v)
		}
		return true
	})
	switch {
	case malformed || tags == 0 || cond.Exists && tags > 1:
		return model.Cond{}, model.NewMalformed("If-Match", "must be a list of ETags, or *")
	case !cond.Exists && len(cond.Match) == 0:
		return model.Cond{}, errChanged
	}
	return cond, nil
}

// isETag reports whether s is a quoted string as entity tags are.
func isETag(s string) bool {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	for _, c := range []byte(s[1 : len(s)-1]) {
		if c <= ' ' || c == '"' || c == 0x7f {
			return false
		}
	}
	return true
}

// parseIfNoneMatch reports whether a write asks that there be no item. Other conditions cannot be kept.
func parseIfNoneMatch(r *http.Request) (absent bool, err error) {
	lines, given := r.Header["If-None-Match"]
	if !given {
		return false, nil
	}
	if len(lines) != 1 || strings.Trim(lines[0], " \t") != "*" {
		return false, model.NewMalformed("If-None-Match", "must be * in a write")
	}
	return true, nil
}

// refuseIfNoneMatch keeps a condition from being ignored where it has no use.
func refuseIfNoneMatch(r *http.Request) error {
	if _, given := r.Header["If-None-Match"]; given {
		return model.NewMalformed("If-None-Match", "is not known to this operation")
	}
	return nil
}

// refuseConditions does the same for an operation that knows no condition at all.
func refuseConditions(r *http.Request) error {
	if _, given := r.Header["If-Match"]; given {
		return model.NewMalformed("If-Match", "is not known to this operation")
	}
	return refuseIfNoneMatch(r)
}

// parseIdempotencyKey returns the key of r, "" for none. A quoted string is the same key as its bare content.
func parseIdempotencyKey(r *http.Request) (string, error) {
	lines, given := r.Header["Idempotency-Key"]
	if !given {
		return "", nil
	}
	malformed := model.NewMalformed("Idempotency-Key", "must be 1 to 255 visible ASCII characters, bare or as a quoted string")
	if len(lines) != 1 {
		return "", malformed
	}
	key := strings.Trim(lines[0], " \t")
	if strings.HasPrefix(key, `"`) {
		var ok bool
		if key, ok = unquote(key); !ok {
			return "", malformed
		}
	}
	if !validIdempotencyKey(key) {
		return "", malformed
	}
	return key, nil
}

// validIdempotencyKey reports whether a bare key is one: 1 to 255 visible ASCII characters.
func validIdempotencyKey(key string) bool {
	if key == "" || len(key) > maxIdempotencyKey {
		return false
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}

// unquote returns the content of a string of RFC 9651.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return "", false
		case '\\':
			i++
			if i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		}
		out = append(out, s[i])
	}
	return string(out), true
}
