// Package model holds the nouns of zmsg and its error kinds. It imports only the standard library,
// so every other package may import it.
package model

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// ID identifies an item or an author: a Snowflake ID, 1 to 2^63-1. In JSON and in paths it is a
// decimal string, because JavaScript numbers hold only 53 bits.
type ID int64

// ParseID reads a decimal ID. Signs, spaces, leading zeros and values outside 1..2^63-1 are refused.
func ParseID(s string) (ID, error) {
	if s == "" || s[0] < '1' || s[0] > '9' {
		return 0, errNotAnID
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errNotAnID
	}
	return ID(n), nil
}

var errNotAnID = fmt.Errorf("must be a decimal string from 1 to %d", uint64(1<<63-1))

// String returns the decimal form.
func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// Version orders the writes of one item: a later write always has a higher version. It packs the
// epoch of the item's shard (high 23 bits) and the sequence of the write within it (low 40 bits), so
// that no clock takes part in ordering. In JSON and in ETags it is a decimal string. 0 means "none".
type Version int64

const (
	seqBits = 40
	// MaxSeq is the highest sequence within one epoch.
	MaxSeq = 1<<seqBits - 1
	// MaxEpoch is the highest epoch of a shard.
	MaxEpoch = 1<<(63-seqBits) - 1
)

// NewVersion packs an epoch (1..MaxEpoch) and a sequence (0..MaxSeq).
func NewVersion(epoch, seq int64) Version { return Version(epoch<<seqBits | seq) }

// ParseVersion reads the decimal form of a version, 1..2^63-1.
func ParseVersion(s string) (Version, error) {
	id, err := ParseID(s)
	return Version(id), err
}

// Epoch returns the shard's epoch in which the write happened.
func (v Version) Epoch() int64 { return int64(v) >> seqBits }

// Seq returns the position of the write within its epoch.
func (v Version) Seq() int64 { return int64(v) & MaxSeq }

// String returns the decimal form.
func (v Version) String() string { return strconv.FormatInt(int64(v), 10) }

// Item is one feed item. A deleted item is a tombstone: it keeps its author and version, so that an
// older write can never bring it back, and is served as absent.
type Item struct {
	ID        ID
	AuthorID  ID
	Kind      string
	Content   json.RawMessage // byte for byte as the client sent it
	CreatedAt time.Time       // UTC, whole milliseconds
	UpdatedAt time.Time       // UTC, whole milliseconds
	Version   Version
	Deleted   bool
}

// TimeLayout is RFC 3339 with milliseconds, the form of every time on the wire.
const TimeLayout = "2006-01-02T15:04:05.000Z07:00"

// AppendJSON appends the item as it is served. Kind must hold no character that JSON escapes (the
// service refuses such kinds), so that no encoder is needed.
func (it *Item) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"id":"`...)
	dst = strconv.AppendInt(dst, int64(it.ID), 10)
	dst = append(dst, `","author_id":"`...)
	dst = strconv.AppendInt(dst, int64(it.AuthorID), 10)
	dst = append(dst, `","kind":"`...)
	dst = append(dst, it.Kind...)
	dst = append(dst, `","content":`...)
	dst = append(dst, it.Content...)
	dst = append(dst, `,"version":"`...)
	dst = strconv.AppendInt(dst, int64(it.Version), 10)
	dst = append(dst, `","created_at":"`...)
	dst = it.CreatedAt.AppendFormat(dst, TimeLayout)
	dst = append(dst, `","updated_at":"`...)
	dst = it.UpdatedAt.AppendFormat(dst, TimeLayout)
	return append(dst, `"}`...)
}

// Tier names the place that answered a read.
type Tier uint8

// The tiers, from the nearest on. Filter means that the Bloom filter excluded the item.
const (
	TierNone Tier = iota
	TierL1
	TierL2
	TierFilter
	TierSQL
)

// String returns the tier's name in Cache-Status and in metrics.
func (t Tier) String() string {
	switch t {
	case TierL1:
		return "l1"
	case TierL2:
		return "l2"
	case TierFilter:
		return "bloom"
	case TierSQL:
		return "sql"
	default:
		return "none"
	}
}

// Doc is the answer to a read of one item: the bytes as served, or, when Version is 0, the news that
// the item does not exist.
type Doc struct {
	Body    []byte
	Version Version
	Tier    Tier
	Bypass  bool // Redis was out of reach: writes that are still queued are invisible
}

// Found reports whether the item exists.
func (d *Doc) Found() bool { return d.Version != 0 }

// Page is one page of a list, newest item first.
type Page struct {
	Items  []Item
	More   bool // further items follow; never said of an empty page
	Bypass bool // Redis was out of reach for some shards: their writes that are still queued are invisible
}

// Op is what a write does.
type Op uint8

// The operations.
const (
	OpPut Op = iota
	OpDelete
)

// Store says when a write is answered.
type Store uint8

// StoreSync answers when the write is committed in SQL, StoreDelayed when it is queued.
const (
	StoreDefault Store = iota
	StoreSync
	StoreDelayed
)

// UnmarshalText reads "sync" or "delayed".
func (s *Store) UnmarshalText(text []byte) error {
	switch string(text) {
	case "sync":
		*s = StoreSync
	case "delayed":
		*s = StoreDelayed
	default:
		return fmt.Errorf("%q is neither sync nor delayed", text)
	}
	return nil
}

// Cond is a precondition of a write, compared with the current item in the same atomic step.
type Cond struct {
	Absent bool      // the item must not exist
	Exists bool      // the item must exist
	Match  []Version // if not empty, the item must exist with one of these versions
}

// Write is one write of an item, as it is queued.
type Write struct {
	ID       ID
	Op       Op
	AuthorID ID // of a put
	Kind     string
	Content  json.RawMessage
	At       time.Time
	Cond     Cond
	Delayed  bool // it is answered as soon as it is queued; else its commit is waited for
	// IdempotencyKey (up to 64 bytes, "" for none) is stored with the effect; Fingerprint tells
	// whether a repeat is the same request.
	IdempotencyKey string
	Fingerprint    string
}

// Outcome is what became of a write.
type Outcome uint8

// The outcomes. Only OutcomeApplied changed something; Unchanged is a deletion of what does not exist.
const (
	OutcomeApplied        Outcome = iota + 1
	OutcomeUnchanged              // a deletion found no item
	OutcomeCondFailed             // a precondition did not hold
	OutcomeAuthorConflict         // the item belongs to another author
	OutcomeKeyReused              // the idempotency key was used by another request
	OutcomeOutOfRange             // a counter would leave the range
	OutcomeTooManyMetrics         // a subject has as many counters as it may
)

// WriteResult is the answer to a Write. Of a replayed write it is the first result.
type WriteResult struct {
	ID        ID // of the item; of a replayed creation the ID that the first request got
	Outcome   Outcome
	Version   Version   // of this write if OutcomeApplied, else the current one (0: absent)
	CreatedAt time.Time // of the item
	UpdatedAt time.Time
	Created   bool // the item did not exist before
	Replayed  bool // the idempotency key was known
	Committed bool // SQL has it already
}
