package model

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxCount bounds counters, the changes of them and the values they are set to: from -MaxCount to
// MaxCount, which are the integers that every JSON reader keeps exactly (RFC 7493).
const MaxCount = 1<<53 - 1

// MaxMetrics is how many counters one subject may have: they are read together.
const MaxMetrics = 256

// Counter names a counter: a metric ("likes") of a subject ("post:17").
type Counter struct {
	Subject string
	Metric  string
}

// String returns subject/metric.
func (c Counter) String() string { return c.Subject + "/" + c.Metric }

// CountOp is what a change does to a counter.
type CountOp uint8

// The changes. A removed counter is 0, and is not listed any more.
const (
	CountAdd CountOp = iota
	CountSet
	CountRemove
)

// Count is one change of a counter, as it is asked for.
type Count struct {
	Counter
	Op CountOp
	N  int64 // what to add, or the value to set; within MaxCount
	// Delayed means that it is answered as soon as it is queued; else its commit is waited for.
	Delayed bool
	// IdempotencyKey (up to 64 bytes, "" for none) is stored with the effect; Fingerprint tells
	// whether a repeat is the same request.
	IdempotencyKey string
	Fingerprint    string
}

// CountResult is the answer to a Count. Of a replayed one it is the first result.
type CountResult struct {
	Outcome   Outcome // Applied, KeyReused, OutOfRange or TooManyMetrics
	Value     int64   // after the change; if out of range, the present one
	Known     bool    // Value is; not if the counter is in no cache while SQL is away
	Version   Version // of the queued change; 0 if it was committed at once
	Committed bool    // SQL has it already
	Replayed  bool    // the idempotency key was known
}

// Encode returns what is remembered of the result under an idempotency key: value|epoch|sequence. A
// value that is not known is left out.
func (r *CountResult) Encode() string {
	value := ""
	if r.Known {
		value = strconv.FormatInt(r.Value, 10)
	}
	return fmt.Sprintf("%s|%d|%d", value, r.Version.Epoch(), r.Version.Seq())
}

// ParseCountResult reads what Encode wrote.
func ParseCountResult(s string) (CountResult, error) {
	f := strings.Split(s, "|")
	if len(f) != 3 {
		return CountResult{}, fmt.Errorf("stored result %q is damaged", s)
	}
	r := CountResult{Outcome: OutcomeApplied, Known: f[0] != "", Replayed: true}
	var errs [3]error
	if r.Known {
		r.Value, errs[0] = strconv.ParseInt(f[0], 10, 64)
	}
	var epoch, seq int64
	epoch, errs[1] = strconv.ParseInt(f[1], 10, 64)
	seq, errs[2] = strconv.ParseInt(f[2], 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return CountResult{}, fmt.Errorf("stored result is damaged: %w", err)
	}
	r.Version = NewVersion(epoch, seq)
	return r, nil
}

// Totals is what SQL holds of some subjects, and of their shard at the same moment: the values are those
// of all changes up to the shard's position, and of no other.
type Totals struct {
	Shard  Shard
	Values map[string]map[string]int64 // by subject and metric; subjects without counters are not there
}
