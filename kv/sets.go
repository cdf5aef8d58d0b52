package kv

// SetAdd adds members to the set under key and returns how many are new. SADD. O(len(members)).
func (db *DB) SetAdd(key string, members ...string) (int64, error) {
	return db.doInt("SADD", key, members)
}

// SetRemove removes members from the set under key and returns how many were there. SREM. O(len(members)).
func (db *DB) SetRemove(key string, members ...string) (int64, error) {
	return db.doInt("SREM", key, members)
}

// SetHas reports whether the set under key has a member. SISMEMBER. O(1).
func (db *DB) SetHas(key, member string) (bool, error) { return db.doBool("SISMEMBER", key, member) }

// SetLen is the number of members of the set under key. SCARD. O(1).
func (db *DB) SetLen(key string) (int64, error) { return db.doInt("SCARD", key) }

// SetMembers returns the members of the set under key, in no order. SMEMBERS. O(n).
func (db *DB) SetMembers(key string) ([]string, error) { return db.doStrings("SMEMBERS", key) }

// SetPop removes up to count members by chance and returns them. SPOP. O(count).
func (db *DB) SetPop(key string, count int64) ([]string, error) {
	return db.doStrings("SPOP", key, count)
}

// SetRandom returns up to count different members by chance. SRANDMEMBER. O(count), O(n) when that is most
// of the set.
func (db *DB) SetRandom(key string, count uint32) ([]string, error) {
	return db.doStrings("SRANDMEMBER", key, int64(count))
}

// SetMove moves a member from one set to another, and reports whether it was there. SMOVE. O(1).
func (db *DB) SetMove(from, to, member string) (bool, error) {
	return db.doBool("SMOVE", from, to, member)
}

// SetUnion returns what is in any of the sets. SUNION. O(n) of all sets together.
func (db *DB) SetUnion(keys ...string) ([]string, error) { return db.doStrings("SUNION", keys) }

// SetIntersection returns what is in all of the sets. SINTER. O(n × m), n of the smallest of m sets.
func (db *DB) SetIntersection(keys ...string) ([]string, error) { return db.doStrings("SINTER", keys) }

// SetDifference returns what is in the first set but in none of the others. SDIFF. O(n) of all sets together.
func (db *DB) SetDifference(keys ...string) ([]string, error) { return db.doStrings("SDIFF", keys) }
