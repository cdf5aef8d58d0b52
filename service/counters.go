package service

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/zmsg/zmsg/model"
)

// Longest names of counters, in bytes.
const (
	MaxSubject = 128
	MaxMetric  = 64
)

// Committed is the durability of what is in SQL.
const Committed = "committed"

// CountersDeps are the parts that Counters works with. All are required.
type CountersDeps struct {
	Reader  CounterReader
	Writer  Counting
	Results Results
}

// Counters holds the rules of counters. Its methods are safe for concurrent use. Fields of their errors
// are JSON pointers: /subject, /metric, /delta, /value.
type Counters struct{ deps CountersDeps }

// NewCounters returns Counters over its parts.
func NewCounters(deps CountersDeps) *Counters { return &Counters{deps: deps} }

// CountOptions are what a request says about how to change counters.
type CountOptions struct {
	Store model.Store // defaults to StoreDelayed: a change counts as soon as it is queued
	// IdempotencyKey is the key as sent, "" for none. It belongs to the operation and the counter, or
	// to the whole of a batch.
	IdempotencyKey string
	// Fingerprint is a digest of a batch as sent. That of a single change follows from what it says.
	Fingerprint string
}

// CountWritten is the answer to a change of a counter. Of a repeat it is the first answer, with the
// durability of now.
type CountWritten struct {
	model.Counter
	Value      int64 // after the change
	Known      bool  // Value is; not of an increment while SQL is away and the counter is in no cache
	Durability string
	Replayed   bool
}

// Get returns the value of a counter, 0 if nobody changed it.
func (c *Counters) Get(ctx context.Context, counter model.Counter) (int64, error) {
	if err := checkCounter(counter); err != nil {
		return 0, err
	}
	values, errs := c.deps.Reader.Get(ctx, []string{counter.Subject})
	return values[0][counter.Metric], errs[0]
}

// Subject returns the counters of a subject that are not 0, by metric. They are those of one moment.
func (c *Counters) Subject(ctx context.Context, subject string) (map[string]int64, error) {
	if err := checkSubject(subject); err != nil {
		return nil, err
	}
	values, errs := c.deps.Reader.Get(ctx, []string{subject})
	return values[0], errs[0]
}

// Increment adds delta (within model.MaxCount) to a counter.
func (c *Counters) Increment(ctx context.Context, counter model.Counter, delta int64, o CountOptions) (CountWritten, error) {
	return c.change(ctx, &model.Count{Counter: counter, Op: model.CountAdd, N: delta}, o)
}

// Set gives a counter a value (within model.MaxCount).
func (c *Counters) Set(ctx context.Context, counter model.Counter, value int64, o CountOptions) (CountWritten, error) {
	return c.change(ctx, &model.Count{Counter: counter, Op: model.CountSet, N: value}, o)
}

// Remove removes a counter: it is 0 then. That there is none is a success.
func (c *Counters) Remove(ctx context.Context, counter model.Counter, o CountOptions) (CountWritten, error) {
	return c.change(ctx, &model.Count{Counter: counter, Op: model.CountRemove}, o)
}

// change queues a change and returns its answer as soon as the store allows.
func (c *Counters) change(ctx context.Context, n *model.Count, o CountOptions) (CountWritten, error) {
	if err := checkCount(n); err != nil {
		return CountWritten{}, err
	}
	store, err := c.store(o.Store)
	if err != nil {
		return CountWritten{}, err
	}
	identify(n, o.IdempotencyKey)
	n.Delayed = store == model.StoreDelayed
	results, errs := c.deps.Writer.Count(ctx, []model.Count{*n})
	if err = errs[0]; err == nil {
		err = refusedCount(n, &results[0])
	}
	if err != nil {
		return CountWritten{}, unknownIfEnded(err)
	}
	return c.settle(ctx, n, &results[0], store)
}

// store says how a change is stored, or why it cannot be now.
func (c *Counters) store(asked model.Store) (model.Store, error) {
	return c.deps.Writer.Ready(cmp.Or(asked, model.StoreDelayed))
}

// settle waits, if the change is a synchronous one, until SQL has it, and returns the answer. That goes
// for a repeat too: the change it repeats may still be queued.
func (c *Counters) settle(ctx context.Context, n *model.Count, res *model.CountResult, store model.Store) (CountWritten, error) {
	written := CountWritten{
		Counter: n.Counter, Value: res.Value, Known: res.Known, Replayed: res.Replayed, Durability: Committed,
	}
	if n.Op != model.CountAdd { // what it is after a set or a removal needs no telling
		written.Value, written.Known = n.N, true
	}
	switch {
	case res.Committed || res.Version == 0:
	case store == model.StoreSync:
		if err := c.deps.Writer.AwaitCount(ctx, n.Subject, res.Version); err != nil {
			return CountWritten{}, unknownIfEnded(err)
		}
	default:
		written.Durability = c.deps.Writer.Durability()
	}
	return written, nil
}

// countOps names the operations in stored keys. The names never change.
var countOps = [...]string{model.CountAdd: "increment", model.CountSet: "set", model.CountRemove: "remove"}

// identify makes an idempotency key the change's own. As the counter is a part of the stored key, the
// fingerprint has only to tell what is done to it: the same increment is known again whether it comes
// alone or in a batch.
func identify(n *model.Count, key string) {
	if key == "" {
		return
	}
	n.IdempotencyKey = storedKey("count."+countOps[n.Op], n.String()+"\x00"+key)
	n.Fingerprint = countFingerprint(n)
}

func countFingerprint(n *model.Count) string {
	sum := sha256.Sum256([]byte(countOps[n.Op] + "\x00" + n.String() + "\x00" + strconv.FormatInt(n.N, 10)))
	return hex.EncodeToString(sum[:])
}

// refusedCount returns what the outcome of a change means as an error, nil for a success.
func refusedCount(n *model.Count, res *model.CountResult) error {
	switch res.Outcome {
	case model.OutcomeApplied:
		return nil
	case model.OutcomeKeyReused:
		return errKeyReused()
	case model.OutcomeOutOfRange:
		message := fmt.Sprintf("would take the counter out of its range, which is from %d to %d", -model.MaxCount, model.MaxCount)
		if res.Known {
			message += "; it is " + strconv.FormatInt(res.Value, 10)
		}
		return model.NewInvalid(amountField(n.Op), message)
	case model.OutcomeTooManyMetrics:
		return model.NewInvalid("/metric", fmt.Sprintf("is new, and the subject has %d counters already, which is the most", model.MaxMetrics))
	default:
		return &model.Error{Kind: model.Internal, Message: "unknown outcome of a change of a counter"}
	}
}

// checkCount returns what is wrong with a change.
func checkCount(n *model.Count) error {
	if err := checkCounter(n.Counter); err != nil {
		return err
	}
	if n.N < -model.MaxCount || n.N > model.MaxCount {
		return model.NewInvalid(amountField(n.Op), fmt.Sprintf("must be from %d to %d", -model.MaxCount, model.MaxCount))
	}
	return nil
}

func amountField(op model.CountOp) string {
	if op == model.CountSet {
		return "/value"
	}
	return "/delta"
}

func checkCounter(c model.Counter) error {
	if err := checkSubject(c.Subject); err != nil {
		return err
	}
	return checkName("/metric", c.Metric, MaxMetric)
}

func checkSubject(s string) error { return checkName("/subject", s, MaxSubject) }

// checkName accepts what matches ^[A-Za-z0-9_.:~@-]+$ and is not too long. Nothing in it needs escaping
// in JSON or in paths. "." and ".." mean something else in paths: clients take them away before they send.
func checkName(field, s string, most int) error {
	ok := s != "" && len(s) <= most
	for i := 0; ok && i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '_', c == '.', c == ':', c == '~', c == '@', c == '-':
		default:
			ok = false
		}
	}
	if s == "." || s == ".." {
		return model.NewInvalid(field, "must not be . or ..")
	}
	if ok {
		return nil
	}
	return model.NewInvalid(field, fmt.Sprintf("must be 1 to %d of A-Z a-z 0-9 _ . : ~ @ -", most))
}
