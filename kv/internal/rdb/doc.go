// Package rdb reads and writes Redis's snapshot files (RDB), and single values in the same encoding (DUMP).
//
// What is written is version 10, as Redis 7.0 writes it: a redis-server of 7.0 or later loads it, and
// redis-check-rdb accepts it. What is read is all that Redis 2.x to 7.2 have written, except for values of
// modules; what modules and functions have put beside the keys is left out, with a warning.
//
// # Tries
//
// Redis has no tries. A trie is written as a hash, behind an auxiliary field "kv-type" with the value "trie",
// which holds for the key that follows it. Redis ignores auxiliary fields that it does not know, wherever
// they are: a redis-server that loads the file has a hash of the same fields and values there. In a DUMP
// payload the same auxiliary field follows the value; RESTORE of a redis-server does not look at what
// follows the value, and makes a hash of it, too.
//
// # Trust
//
// Files are not trusted. A length is believed only as far as bytes follow: a file cannot have more memory
// allocated than a small multiple of its size (LZF expands by up to 90). Listpacks, ziplists, intsets and
// stream nodes are looked at element by element before they are used.
package rdb

import "errors"

// Version is the RDB version that is written.
const Version = 10

// readable is the last version that is read: Redis 7.2's.
const readable = 11

// The types of values. Those that Redis before 7.0 has written, or that 7.2 has added, are only read.
const (
	typeString          = 0
	typeList            = 1
	typeSet             = 2
	typeZSet            = 3 // scores as text
	typeHash            = 4
	typeZSet2           = 5 // scores in binary
	typeHashZipmap      = 9
	typeListZiplist     = 10
	typeSetIntset       = 11
	typeZSetZiplist     = 12
	typeHashZiplist     = 13
	typeListQuicklist   = 14 // of ziplists
	typeStreamListpacks = 15
	typeHashListpack    = 16
	typeZSetListpack    = 17
	typeListQuicklist2  = 18 // of listpacks
	typeStream2         = 19 // and first ID, largest deleted ID, entries added
	typeSetListpack     = 20
	typeStream3         = 21 // and when consumers were active
)

// The marks of what is not a value.
const (
	opFunction2    = 245
	opFunction     = 246 // of a release candidate; nothing else has written it
	opModuleAux    = 247
	opIdle         = 248
	opFreq         = 249
	opAux          = 250
	opResizeDB     = 251
	opExpireMillis = 252
	opExpireSecs   = 253
	opSelectDB     = 254
	opEOF          = 255
)

// The nodes of a list.
const (
	nodePlain  = 1
	nodePacked = 2
)

// The auxiliary field that makes a hash a trie.
const (
	auxType = "kv-type"
	auxTrie = "trie"
)

// ErrCorrupt says that bytes are not what a database writes. The error that wraps it says what is wrong and
// where.
var ErrCorrupt = errors.New("rdb: corrupt")
