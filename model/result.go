package model

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Record returns what is stored under an idempotency key: the fingerprint of the request, and its result as
// Encode wrote it. A fingerprint has no '|'.
func Record(fingerprint, result string) string { return fingerprint + "|" + result }

// ResultIn returns the result in a record, if it is that of the request with the fingerprint: else the key
// was used by another one.
func ResultIn(record, fingerprint string) (result string, same bool) {
	return strings.CutPrefix(record, fingerprint+"|")
}

// Encode returns what is remembered of the result under an idempotency key:
// id|epoch|sequence|created|updated|existed, with times in milliseconds of Unix time.
func (r *WriteResult) Encode() string {
	existed := 1
	if r.Created {
		existed = 0
	}
	return fmt.Sprintf("%d|%d|%d|%d|%d|%d", r.ID, r.Version.Epoch(), r.Version.Seq(),
		r.CreatedAt.UnixMilli(), r.UpdatedAt.UnixMilli(), existed)
}

// ParseWriteResult reads what Encode wrote.
func ParseWriteResult(s string) (WriteResult, error) {
	var n [6]int64
	f := strings.Split(s, "|")
	if len(f) != len(n) {
		return WriteResult{}, fmt.Errorf("stored result %q is damaged", s)
	}
	for i := range f {
		var err error
		if n[i], err = strconv.ParseInt(f[i], 10, 64); err != nil {
			return WriteResult{}, fmt.Errorf("stored result is damaged: %w", err)
		}
	}
	return WriteResult{
		Outcome: OutcomeApplied, ID: ID(n[0]), Version: NewVersion(n[1], n[2]),
		CreatedAt: time.UnixMilli(n[3]).UTC(), UpdatedAt: time.UnixMilli(n[4]).UTC(),
		Created: n[5] == 0, Replayed: true,
	}, nil
}
