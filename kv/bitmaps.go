package kv

// BitSet sets a bit of the bitmap under key, which grows as needed, and returns what it was. Bit 0 is the
// highest of the first byte; offsets go up to 2^32-1. SETBIT. O(1), and O(n) when it grows.
func (db *DB) BitSet(key string, offset int64, on bool) (was bool, err error) {
	bit := 0
	if on {
		bit = 1
	}
	return db.doBool("SETBIT", key, offset, bit)
}

// BitGet returns a bit of the bitmap under key; beyond its end all are off. GETBIT. O(1).
func (db *DB) BitGet(key string, offset int64) (bool, error) { return db.doBool("GETBIT", key, offset) }

// BitCount is the number of bits that are on. BITCOUNT. O(n), eight bytes at a time.
func (db *DB) BitCount(key string) (int64, error) { return db.doInt("BITCOUNT", key) }

// BitCountRange is the number of bits that are on from start to end, inclusive, in bits; negative positions
// count from the end. BITCOUNT. O(end-start).
func (db *DB) BitCountRange(key string, start, end int64) (int64, error) {
	return db.doInt("BITCOUNT", key, start, end, "BIT")
}

// BitPosition is the position of the first bit that is on, or off, from bit start on; -1 if there is none.
// BITPOS. O(n).
func (db *DB) BitPosition(key string, on bool, start int64) (int64, error) {
	bit := 0
	if on {
		bit = 1
	}
	return db.doInt("BITPOS", key, bit, start, -1, "BIT")
}

// BitAnd stores the bits that all of the sources have under to, and returns its length in bytes. BITOP. O(n)
// of all sources together.
func (db *DB) BitAnd(to string, sources ...string) (int64, error) {
	return db.doInt("BITOP", "AND", to, sources)
}

// BitOr stores the bits that any of the sources has under to, and returns its length in bytes. BITOP. O(n)
// of all sources together.
func (db *DB) BitOr(to string, sources ...string) (int64, error) {
	return db.doInt("BITOP", "OR", to, sources)
}

// BitXor stores the bits that an odd number of the sources has under to, and returns its length in bytes.
// BITOP. O(n) of all sources together.
func (db *DB) BitXor(to string, sources ...string) (int64, error) {
	return db.doInt("BITOP", "XOR", to, sources)
}

// BitNot stores the bits that source has not under to, and returns its length in bytes. BITOP. O(n).
func (db *DB) BitNot(to, source string) (int64, error) { return db.doInt("BITOP", "NOT", to, source) }
