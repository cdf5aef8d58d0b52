// Package cache answers reads without SQL where that is right: a local cache of items as served, a
// Bloom filter of the IDs that exist, an overlay of the writes that are still queued, and flights
// that let concurrent readers of one item share the work. Of counters it keeps no copy: it makes their
// totals in Redis, which the write scripts keep exact, and reads them there.
//
// Several parts carry an era: a number that a replica raises for a shard whenever it has to distrust
// what it knew of it, as when the shard changes its home or events have been missed. What belongs to
// an older era is not used.
package cache
