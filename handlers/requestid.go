package handlers

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"sync/atomic"
)

const maxRequestID = 128

// requestIDs names requests: a random prefix of the process and a count.
type requestIDs struct {
	prefix string
	count  *atomic.Uint64
}

func newRequestIDs() requestIDs {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return requestIDs{prefix: hex.EncodeToString(b[:]) + "-", count: new(atomic.Uint64)}
}

// of returns the ID that came with r if it is sane, else a new one.
func (g requestIDs) of(r *http.Request) string {
	if in := r.Header["X-Request-Id"]; len(in) == 1 && saneRequestID(in[0]) {
		return in[0]
	}
	var b [32]byte
	return string(strconv.AppendUint(append(b[:0], g.prefix...), g.count.Add(1), 36))
}

// saneRequestID accepts what needs no quoting in logs, headers and URLs.
func saneRequestID(s string) bool {
	if s == "" || len(s) > maxRequestID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		mark := c == '-' || c == '_' || c == '.' || c == ':' || c == '/' || c == '=' || c == '+' || c == '@'
		if !letter && !digit && !mark {
			return false
		}
	}
	return true
}
