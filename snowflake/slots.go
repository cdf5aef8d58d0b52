package snowflake

import "time"

// ahead is how far timestamps may run before the clock: a burst of more than 4096 IDs a millisecond
// borrows from the next second, and a clock that steps back by less goes unnoticed.
const ahead = int64(time.Second / time.Millisecond)

// slots is what a grant leaves to use. The next ID takes the first slot that is not before the clock.
// Slots are used in ascending order, each once.
type slots struct {
	grant    Grant
	from     int64 // no timestamp is below it
	until    int64 // no timestamp reaches it
	millis   int64 // the latest timestamp used, from-1 if none was
	sequence int64 // the next one of millis
}

// newSlots begins a grant. margin delays its first timestamp.
func newSlots(g Grant, margin time.Duration) slots {
	from := max(g.From+margin.Milliseconds(), epochMillis+1)
	return slots{grant: g, from: from, until: min(g.Until, endMillis), millis: from - 1, sequence: PerMillisecond}
}

// extend moves the end, never back.
func (s *slots) extend(g Grant) {
	s.until = max(s.until, min(g.Until, endMillis))
}

// take appends up to n IDs to dst. now is the clock in milliseconds.
func (s *slots) take(dst []ID, n int, now int64) []ID {
	millis, sequence := s.next(now)
	limit := min(s.until-1, now+ahead)
	for n > 0 && millis <= limit {
		k := min(int64(n), PerMillisecond-sequence)
		first := pack(millis, int64(s.grant.Node), sequence)
		for i := range k {
			dst = append(dst, first+ID(i))
		}
		n -= int(k)
		s.millis, s.sequence = millis, sequence+k
		millis, sequence = s.next(now)
	}
	return dst
}

// next returns the first slot that is free and not before now.
func (s *slots) next(now int64) (millis, sequence int64) {
	switch {
	case now > s.millis:
		return max(now, s.from), 0
	case s.sequence < PerMillisecond:
		return s.millis, s.sequence
	default:
		return s.millis + 1, 0
	}
}

// first returns the ID that take would begin with.
func (s *slots) first(now int64) ID {
	millis, sequence := s.next(now)
	return pack(millis, int64(s.grant.Node), sequence)
}

// outrun reports whether the slots in use are out of reach before the clock, so that it must have
// stepped back. A margin that is still waited for does not count.
func (s *slots) outrun(now int64) bool {
	reached := s.grant.From
	if s.millis >= s.from {
		reached = s.millis
	}
	return reached > now+ahead
}

// wait returns how many milliseconds must pass until take gives an ID, and false if only an extension
// can help.
func (s *slots) wait(now int64) (int64, bool) {
	millis, _ := s.next(now)
	return max(millis-ahead-now, 0), millis < s.until
}

// clock follows the database's clock between its answers by the time elapsed here.
type clock struct {
	elapsed func() time.Duration // monotonic
	offset  time.Duration        // the database's time since 1970, less elapsed
	set     bool
}

// now returns milliseconds since 1970.
func (c *clock) now() int64 { return (c.offset + c.elapsed()).Milliseconds() }

// observe takes the answer to a question of the time sent, by elapsed. The database read its clock
// somewhere between then and now; we step only as far as we are certainly wrong, so that slow answers
// move nothing.
func (c *clock) observe(sent time.Duration, millis int64) {
	answer := time.Duration(millis) * time.Millisecond
	lowest, highest := answer-c.elapsed(), answer+time.Millisecond-sent
	if !c.set {
		c.offset, c.set = lowest, true
	}
	c.offset = min(max(c.offset, lowest), highest)
}
