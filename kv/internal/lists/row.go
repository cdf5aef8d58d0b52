package lists

// smallRow is how many places a row may have without being made shorter when most are free.
const smallRow = 64

// nodes are the nodes from first to last.
func (l *List) nodes() []ref { return l.all[l.lo:l.hi] }

// insertRef puts a node, which has count elements, at place at of the row. The shorter side moves.
func (l *List) insertRef(at int, n *node, count int) {
	left := at < (l.hi-l.lo+1)/2
	if left && l.lo == 0 || !left && l.hi == len(l.all) {
		l.makeRoom(left)
	}
	if left {
		l.lo--
		copy(l.all[l.lo:l.lo+at], l.all[l.lo+1:])
	} else {
		l.hi++
		copy(l.all[l.lo+at+1:l.hi], l.all[l.lo+at:])
	}
	l.all[l.lo+at] = ref{n, count}
	l.len += count
}

// makeRoom makes room at one end of the row, most of what is free: by moving the nodes if they take less than
// half of it, else by a row twice as long.
func (l *List) makeRoom(left bool) {
	n := l.hi - l.lo
	all := l.all
	if 2*(n+1) > len(all) {
		all = make([]ref, max(2*n, 1))
	}
	l.moveRow(all, left)
}

// moveRow moves the nodes into a row that is long enough, and leaves three quarters of its room at one end.
func (l *List) moveRow(all []ref, left bool) {
	n := l.hi - l.lo
	at := (len(all) - n) / 4
	if left {
		at = len(all) - n - at
	}
	copy(all[at:], l.nodes())
	clear(all[:at])
	clear(all[at+n:])
	l.all, l.lo, l.hi = all, at, at+n
}

// removeRefs removes the nodes at places from to to-1. The shorter side moves.
func (l *List) removeRefs(from, to int) {
	row := l.nodes()
	for _, r := range row[from:to] {
		l.len -= r.count
		l.bytes -= nodeSize + cap(r.n.buf)
	}
	if from < len(row)-to {
		copy(row[to-from:to], row[:from])
		clear(row[:to-from])
		l.lo += to - from
	} else {
		copy(row[from:], row[to:])
		clear(row[len(row)-(to-from):])
		l.hi -= to - from
	}
	if n := l.hi - l.lo; len(l.all) > smallRow && 8*n < len(l.all) {
		l.moveRow(make([]ref, 2*n+1), l.lo > len(l.all)-l.hi)
	}
}

// locate returns the node that has the element of index i, and the element's index in it. It passes over the
// nodes from the nearer end.
func (l *List) locate(i int) (at, offset int) {
	row := l.nodes()
	if i < l.len/2 {
		for i >= row[at].count {
			i -= row[at].count
			at++
		}
		return at, i
	}
	at = len(row) - 1
	for i = l.len - i; i > row[at].count; at-- {
		i -= row[at].count
	}
	return at, row[at].count - i
}
