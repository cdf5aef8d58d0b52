package kv

import (
	"context"
	"time"

	"github.com/zmsg/zmsg/kv/internal/resp"
)

// Message is an entry of a stream.
type Message struct {
	ID     string // "1700000000000-0": milliseconds and a number; rising
	Fields []Pair // in the order in which they were added
}

// StreamAdd appends a message to the stream under key and returns its ID, which is made of the time. XADD.
// O(len(fields)).
func (db *DB) StreamAdd(key string, fields ...Pair) (id string, err error) {
	b, err := db.doBytes("XADD", key, "*", flatten(fields))
	return string(b), err
}

// StreamAddID is StreamAdd with an ID of the caller's, which must be higher than all that the stream has had.
func (db *DB) StreamAddID(key, id string, fields ...Pair) error {
	_, err := db.do("XADD", key, id, flatten(fields))
	return err
}

// StreamLen is the number of messages of the stream under key. XLEN. O(1).
func (db *DB) StreamLen(key string) (int64, error) { return db.doInt("XLEN", key) }

// StreamRange returns at most limit messages with IDs from low to high, inclusive; "-" and "+" are the
// lowest and the highest, and "(" before an ID leaves it out. XRANGE. O(log n + the number returned).
func (db *DB) StreamRange(key, low, high string, limit int64) ([]Message, error) {
	v, err := db.do("XRANGE", key, low, high, "COUNT", limit)
	return messages(v), err
}

// StreamRangeDescending is StreamRange from high to low, the highest first. XREVRANGE.
func (db *DB) StreamRangeDescending(key, high, low string, limit int64) ([]Message, error) {
	v, err := db.do("XREVRANGE", key, high, low, "COUNT", limit)
	return messages(v), err
}

// StreamDelete removes messages and returns how many were there. XDEL. O(log n) each.
func (db *DB) StreamDelete(key string, ids ...string) (int64, error) {
	return db.doInt("XDEL", key, ids)
}

// StreamTrim removes the oldest messages until length are left, and returns how many it removed. XTRIM. O(the
// number removed).
func (db *DB) StreamTrim(key string, length int64) (int64, error) {
	return db.doInt("XTRIM", key, "MAXLEN", length)
}

// StreamTrimBefore removes the messages with IDs lower than id, and returns how many. XTRIM. O(the number
// removed).
func (db *DB) StreamTrimBefore(key, id string) (int64, error) {
	return db.doInt("XTRIM", key, "MINID", id)
}

// StreamRead returns at most limit messages after an ID ("0" is the beginning, "$" is now). If there are
// none it waits for one until ctx ends, whose error it returns then. XREAD. O(log n + the number returned).
func (db *DB) StreamRead(ctx context.Context, key, after string, limit int64) ([]Message, error) {
	v, err := db.wait(ctx, "XREAD", "COUNT", limit, "BLOCK", 0, "STREAMS", key, after)
	if err != nil || len(v.Elems) < 2 {
		return nil, err
	}
	return messages(v.Elems[1]), nil
}

// GroupCreate makes a group of consumers that gets the messages after an ID ("0" is the beginning, "$" is
// now), and the stream if it is not there. XGROUP CREATE. O(1).
func (db *DB) GroupCreate(key, group, after string) error {
	_, err := db.do("XGROUP", "CREATE", key, group, after, "MKSTREAM")
	return err
}

// GroupRead returns at most limit messages that no consumer of the group has had, for this consumer, who has
// to acknowledge them. If there are none it waits for one until ctx ends, whose error it returns then.
// XREADGROUP. O(the number returned).
func (db *DB) GroupRead(ctx context.Context, key, group, consumer string, limit int64) ([]Message, error) {
	v, err := db.wait(ctx, "XREADGROUP", "GROUP", group, consumer, "COUNT", limit, "BLOCK", 0, "STREAMS", key, ">")
	if err != nil || len(v.Elems) < 2 {
		return nil, err
	}
	return messages(v.Elems[1]), nil
}

// GroupAcknowledge says that messages are done with, and returns how many were not before. XACK. O(log n)
// each.
func (db *DB) GroupAcknowledge(key, group string, ids ...string) (int64, error) {
	return db.doInt("XACK", key, group, ids)
}

// GroupClaim gives at most limit messages, which other consumers have had for longer than idle without
// acknowledging them, to this one. XAUTOCLAIM. O(the number looked at).
func (db *DB) GroupClaim(key, group, consumer string, idle time.Duration, limit int64) ([]Message, error) {
	v, err := db.do("XAUTOCLAIM", key, group, consumer, idle, "0", "COUNT", limit)
	if err != nil || len(v.Elems) < 2 {
		return nil, err
	}
	return messages(v.Elems[1]), nil
}

func messages(v resp.Value) []Message {
	var all []Message
	for _, e := range v.Elems {
		if len(e.Elems) != 2 {
			continue // deleted since it was delivered
		}
		m := Message{ID: string(e.Elems[0].Str)}
		fields := e.Elems[1].Elems
		for i := 0; i+1 < len(fields); i += 2 {
			m.Fields = append(m.Fields, Pair{Key: string(fields[i].Str), Value: fields[i+1].Str})
		}
		all = append(all, m)
	}
	return all
}
