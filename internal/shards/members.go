package shards

import "slices"

// members is which replicas share the work, and the place of this one among them.
type members struct {
	index, count int
	alive        []string
}

// Owns reports whether draining shard s falls to this replica. It is advice that spreads the work:
// two replicas may believe it for a moment, and the compare-and-set of the position keeps them apart.
func (t *Table) Owns(s int) bool {
	m := t.members.Load()
	return m.count > 0 && s%m.count == m.index
}

// Alive returns the replicas that hold permissions, by name.
func (t *Table) Alive() []string { return t.members.Load().alive }

// Leads reports whether work that one replica should do falls to this one.
func (t *Table) Leads() bool {
	m := t.members.Load()
	return m.count > 0 && m.index == 0
}

// setMembers keeps which replicas share the work, and reports whether one of them has gone.
func (t *Table) setMembers(alive []string, me string) (gone bool) {
	m := &members{count: len(alive), alive: alive}
	for i, name := range alive {
		if name == me {
			m.index = i
		}
	}
	was := t.members.Swap(m)
	if slices.Equal(was.alive, alive) {
		return false
	}
	gone = slices.ContainsFunc(was.alive, func(name string) bool { return !slices.Contains(alive, name) })
	if gone {
		t.deserted.Store(true)
	}
	select {
	case t.moved <- struct{}{}:
	default:
	}
	return gone
}

// Moved tells when shards have begun to fall to other replicas than before. One reader is told.
func (t *Table) Moved() <-chan struct{} { return t.moved }

// Deserted reports whether a replica has gone since the last call. What it had queued, nobody else remembers.
func (t *Table) Deserted() bool { return t.deserted.Swap(false) }
