package kv

import (
	"math"
	"strconv"
)

// Scored is a member of a sorted set with its score.
type Scored struct {
	Member string
	Score  float64
}

// SortedAdd adds members to the sorted set under key, or sets their scores, and returns how many are new.
// ZADD. O(log n) each.
func (db *DB) SortedAdd(key string, members ...Scored) (int64, error) {
	args := []any{key}
	for _, m := range members {
		args = append(args, m.Score, m.Member)
	}
	return db.doInt("ZADD", args...)
}

// SortedIncrement adds n to a member's score, which is 0 if it is not there, and returns the sum. ZINCRBY.
// O(log n).
func (db *DB) SortedIncrement(key, member string, n float64) (float64, error) {
	return db.doFloat("ZINCRBY", key, n, member)
}

// SortedRemove removes members and returns how many were there. ZREM. O(log n) each.
func (db *DB) SortedRemove(key string, members ...string) (int64, error) {
	return db.doInt("ZREM", key, members)
}

// SortedScore is a member's score; ErrNotFound if it is not there. ZSCORE. O(1).
func (db *DB) SortedScore(key, member string) (float64, error) {
	return db.doFloat("ZSCORE", key, member)
}

// SortedRank is how many members have a lower score, or the same and come before it by their bytes;
// ErrNotFound if it is not there. ZRANK. O(log n).
func (db *DB) SortedRank(key, member string) (int64, error) {
	v, err := db.do("ZRANK", key, member)
	if err == nil && v.IsNull() {
		return 0, ErrNotFound
	}
	return v.Int, err
}

// SortedLen is the number of members of the sorted set under key. ZCARD. O(1).
func (db *DB) SortedLen(key string) (int64, error) { return db.doInt("ZCARD", key) }

// SortedCount is the number of members with scores from low to high, inclusive. ZCOUNT. O(log n).
func (db *DB) SortedCount(key string, low, high float64) (int64, error) {
	return db.doInt("ZCOUNT", key, bound(low), bound(high))
}

// SortedRange returns the members from rank start to end, inclusive, the lowest score first; negative ranks
// count from the end. ZRANGE. O(log n + the number returned).
func (db *DB) SortedRange(key string, start, end int64) ([]Scored, error) {
	return db.scored("ZRANGE", key, start, end, "WITHSCORES")
}

// SortedRangeDescending is SortedRange with the highest score first; rank 0 is that. O(log n + the number
// returned).
func (db *DB) SortedRangeDescending(key string, start, end int64) ([]Scored, error) {
	return db.scored("ZRANGE", key, start, end, "REV", "WITHSCORES")
}

// SortedByScore returns at most limit members with scores from low to high, inclusive, the lowest first,
// after skipping offset of them; a negative limit has none. ZRANGEBYSCORE. O(log n + offset + the number
// returned).
func (db *DB) SortedByScore(key string, low, high float64, offset, limit int64) ([]Scored, error) {
	return db.scored("ZRANGE", key, bound(low), bound(high), "BYSCORE", "LIMIT", offset, limit, "WITHSCORES")
}

// SortedByLex returns at most limit members between two bounds in the order of their bytes, if all scores are
// the same. A bound begins with "[" if it belongs to the range, and with "(" if not; "-" and "+" are the
// lowest and the highest. ZRANGEBYLEX. O(log n + offset + the number returned).
func (db *DB) SortedByLex(key, low, high string, offset, limit int64) ([]string, error) {
	return db.doStrings("ZRANGE", key, low, high, "BYLEX", "LIMIT", offset, limit)
}

// SortedRemoveByScore removes the members with scores from low to high, inclusive, and returns how many.
// ZREMRANGEBYSCORE. O(log n + the number removed).
func (db *DB) SortedRemoveByScore(key string, low, high float64) (int64, error) {
	return db.doInt("ZREMRANGEBYSCORE", key, bound(low), bound(high))
}

// SortedRemoveByRank removes the members from rank start to end, inclusive, and returns how many.
// ZREMRANGEBYRANK. O(log n + the number removed).
func (db *DB) SortedRemoveByRank(key string, start, end int64) (int64, error) {
	return db.doInt("ZREMRANGEBYRANK", key, start, end)
}

// SortedPopLowest removes up to count members with the lowest scores and returns them. ZPOPMIN. O(log n) each.
func (db *DB) SortedPopLowest(key string, count int64) ([]Scored, error) {
	return db.scored("ZPOPMIN", key, count)
}

// SortedPopHighest removes up to count members with the highest scores and returns them. ZPOPMAX. O(log n)
// each.
func (db *DB) SortedPopHighest(key string, count int64) ([]Scored, error) {
	return db.scored("ZPOPMAX", key, count)
}

func bound(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "+inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// scored reads pairs, as RESP3 has them.
func (db *DB) scored(name string, args ...any) ([]Scored, error) {
	v, err := db.do(name, args...)
	if err != nil {
		return nil, err
	}
	all := make([]Scored, len(v.Elems))
	for i, pair := range v.Elems {
		all[i] = Scored{Member: string(pair.Elems[0].Str), Score: pair.Elems[1].Double}
	}
	return all, nil
}
