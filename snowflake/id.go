// Package snowflake makes 63-bit IDs that sort by time and are never equal, without asking anybody
// for each of them.
//
//	bit 63   62 ............ 22   21 ... 12   11 ...... 0
//	    0    ms since 2025-01-01   node        sequence
//
// A [Generator] holds a node for a window of time that a shared database has reserved for it, and
// makes IDs with timestamps inside that window only. The next holder of the node begins where the
// window ends. So a holder that was paused, or whose clock is wrong, cannot make an ID of another:
// their timestamps are disjoint by arithmetic, whatever any clock shows.
package snowflake

import "time"

// ID is a positive 63-bit number.
type ID int64

const (
	timeBits     = 41
	nodeBits     = 10
	sequenceBits = 12

	// NodeCount is the number of nodes, and so of generators at one time.
	NodeCount = 1 << nodeBits
	// PerMillisecond is the number of IDs that one node makes with one timestamp.
	PerMillisecond = 1 << sequenceBits

	epochMillis = 1735689600000             // 2025-01-01T00:00:00Z
	endMillis   = epochMillis + 1<<timeBits // the first timestamp that does not fit
)

// ExpiresAt is when the 41 bits of time are used up: no ID can be made from then on.
func ExpiresAt() time.Time { return time.UnixMilli(endMillis).UTC() }

// Parts is what an ID was made of.
type Parts struct {
	Time     time.Time // UTC, whole milliseconds; of the database's clock
	Node     int       // 0 to 1023
	Sequence int       // 0 to 4095
}

// Parts decodes the ID. Every positive number has parts, even if no generator made it.
func (id ID) Parts() Parts {
	return Parts{
		Time:     time.UnixMilli(epochMillis + int64(id>>(nodeBits+sequenceBits))).UTC(),
		Node:     int(id>>sequenceBits) & (NodeCount - 1),
		Sequence: int(id) & (PerMillisecond - 1),
	}
}

// pack expects a timestamp in (epochMillis, endMillis), a node and a sequence within their bits.
func pack(millis, node, sequence int64) ID {
	return ID((millis-epochMillis)<<(nodeBits+sequenceBits) | node<<sequenceBits | sequence)
}
