package kv

// MapSet stores fields of the map under key, and returns how many are new. HSET. O(len(fields)).
func (db *DB) MapSet(key string, fields ...Pair) (added int64, err error) {
	return db.doInt("HSET", key, flatten(fields))
}

// MapSetIfAbsent stores a field that is not there, and reports whether it did. HSETNX. O(1).
func (db *DB) MapSetIfAbsent(key, field string, value []byte) (bool, error) {
	return db.doBool("HSETNX", key, field, value)
}

// MapGet returns a field of the map under key, or ErrNotFound. HGET. O(1).
func (db *DB) MapGet(key, field string) ([]byte, error) { return db.doBytes("HGET", key, field) }

// MapGetMany returns fields of the map under key; nil where there is none. HMGET. O(len(fields)).
func (db *DB) MapGetMany(key string, fields ...string) ([][]byte, error) {
	return db.doList("HMGET", key, fields)
}

// MapGetAll returns all fields of the map under key. HGETALL. O(n).
func (db *DB) MapGetAll(key string) (map[string][]byte, error) {
	v, err := db.do("HGETALL", key)
	if err != nil {
		return nil, err
	}
	all := make(map[string][]byte, len(v.Elems)/2)
	for i := 0; i+1 < len(v.Elems); i += 2 {
		all[string(v.Elems[i].Str)] = v.Elems[i+1].Str
	}
	return all, nil
}

// MapDelete removes fields and returns how many were there. HDEL. O(len(fields)).
func (db *DB) MapDelete(key string, fields ...string) (int64, error) {
	return db.doInt("HDEL", key, fields)
}

// MapHas reports whether the map under key has a field. HEXISTS. O(1).
func (db *DB) MapHas(key, field string) (bool, error) { return db.doBool("HEXISTS", key, field) }

// MapLen is the number of fields of the map under key. HLEN. O(1).
func (db *DB) MapLen(key string) (int64, error) { return db.doInt("HLEN", key) }

// MapFields returns the names of the fields. HKEYS. O(n).
func (db *DB) MapFields(key string) ([]string, error) { return db.doStrings("HKEYS", key) }

// MapIncrement adds n to an integer field, which is 0 if it is not there, and returns the sum. HINCRBY. O(1).
func (db *DB) MapIncrement(key, field string, n int64) (int64, error) {
	return db.doInt("HINCRBY", key, field, n)
}

// MapIncrementFloat adds n to a field that is a number, or not there, and returns the sum. HINCRBYFLOAT.
// O(1).
func (db *DB) MapIncrementFloat(key, field string, n float64) (float64, error) {
	return db.doFloat("HINCRBYFLOAT", key, field, n)
}
