package kv

import "context"

// ListPushFront puts values before the first of the list under key, one after the other, and returns its
// length. LPUSH. O(len(values)).
func (db *DB) ListPushFront(key string, values ...[]byte) (int64, error) {
	return db.doInt("LPUSH", key, values)
}

// ListPushBack puts values after the last of the list under key and returns its length. RPUSH.
// O(len(values)).
func (db *DB) ListPushBack(key string, values ...[]byte) (int64, error) {
	return db.doInt("RPUSH", key, values)
}

// ListPopFront removes the first value of the list under key and returns it, or ErrNotFound. LPOP. O(1).
func (db *DB) ListPopFront(key string) ([]byte, error) { return db.doBytes("LPOP", key) }

// ListPopBack removes the last value of the list under key and returns it, or ErrNotFound. RPOP. O(1).
func (db *DB) ListPopBack(key string) ([]byte, error) { return db.doBytes("RPOP", key) }

// ListLen is the length of the list under key. LLEN. O(1).
func (db *DB) ListLen(key string) (int64, error) { return db.doInt("LLEN", key) }

// ListGet returns the value at a position, from 0; negative positions count from the end, which is -1.
// ErrNotFound if there is none. LINDEX. O(n / 100), about: it skips whole nodes of up to 8 KB.
func (db *DB) ListGet(key string, index int64) ([]byte, error) {
	return db.doBytes("LINDEX", key, index)
}

// ListSet replaces the value at a position, which must be there. LSET. O(n / 100), about.
func (db *DB) ListSet(key string, index int64, value []byte) error {
	_, err := db.do("LSET", key, index, value)
	return err
}

// ListRange returns the values from start to end, inclusive; negative positions count from the end. LRANGE.
// O(n / 100 + the number returned).
func (db *DB) ListRange(key string, start, end int64) ([][]byte, error) {
	return db.doList("LRANGE", key, start, end)
}

// ListTrim keeps the values from start to end, inclusive, and removes the others. LTRIM. O(the number
// removed).
func (db *DB) ListTrim(key string, start, end int64) error {
	_, err := db.do("LTRIM", key, start, end)
	return err
}

// ListRemove removes values that are equal to value: the first count from the front, from the back if count
// is negative, all if it is 0. It returns how many. LREM. O(n).
func (db *DB) ListRemove(key string, count int64, value []byte) (int64, error) {
	return db.doInt("LREM", key, count, value)
}

// ListInsertBefore puts a value before the first that is equal to pivot, and returns the list's length; -1
// if there is no such value, 0 if there is no list. LINSERT. O(n).
func (db *DB) ListInsertBefore(key string, pivot, value []byte) (int64, error) {
	return db.doInt("LINSERT", key, "BEFORE", pivot, value)
}

// ListMove takes the last value of one list and puts it before the first of another, or of the same. It
// returns the value, or ErrNotFound. LMOVE. O(1).
func (db *DB) ListMove(from, to string) ([]byte, error) {
	return db.doBytes("LMOVE", from, to, "RIGHT", "LEFT")
}

// ListWaitFront is ListPopFront that waits for a value until ctx ends, whose error it returns then. Who has
// waited longest is served first. BLPOP. O(1).
func (db *DB) ListWaitFront(ctx context.Context, key string) ([]byte, error) {
	return db.waitPop(ctx, "BLPOP", key)
}

// ListWaitBack is ListPopBack that waits for a value until ctx ends. BRPOP. O(1).
func (db *DB) ListWaitBack(ctx context.Context, key string) ([]byte, error) {
	return db.waitPop(ctx, "BRPOP", key)
}

func (db *DB) waitPop(ctx context.Context, name, key string) ([]byte, error) {
	v, err := db.wait(ctx, name, key, 0)
	if err != nil || len(v.Elems) != 2 {
		return nil, err
	}
	return v.Elems[1].Str, nil
}
