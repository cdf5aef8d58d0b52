package zsets

// rank returns how many entries sort before (score, member).
func (t *tree) rank(score float64, member []byte) int {
	if t.root == nil {
		return 0
	}
	n, rank := t.root, 0
	for n.kids != nil {
		i := n.child(score, member)
		for _, c := range n.counts[:i] {
			rank += int(c)
		}
		n = n.kids[i]
	}
	return rank + n.search(score, member)
}

// count returns for how many entries below holds. It must hold for none after one for which it does not.
func (t *tree) count(below func(item) bool) int {
	if t.root == nil {
		return 0
	}
	n, total := t.root, 0
	for {
		lo, hi := 0, len(n.items)
		for lo < hi {
			m := int(uint(lo+hi) >> 1)
			if below(n.items[m]) {
				lo = m + 1
			} else {
				hi = m
			}
		}
		if n.kids == nil {
			return total + lo
		}
		lo = max(lo-1, 0)
		for _, c := range n.counts[:lo] {
			total += int(c)
		}
		n = n.kids[lo]
	}
}

// at returns the entry of rank i, which must be in range.
func (t *tree) at(i int) item {
	n := t.root
	for n.kids != nil {
		k := 0
		for i >= int(n.counts[k]) {
			i -= int(n.counts[k])
			k++
		}
		n = n.kids[k]
	}
	return n.items[i]
}

// ascend hands the entries of ranks lo to hi-1 to yield, in order, until that returns false.
func (n *node) ascend(lo, hi int, yield func(item) bool) bool {
	if n.kids == nil {
		for _, it := range n.items[lo:hi] {
			if !yield(it) {
				return false
			}
		}
		return true
	}
	base := 0
	for i, kid := range n.kids {
		size := int(n.counts[i])
		if base >= hi {
			break
		}
		if base+size > lo && !kid.ascend(max(lo-base, 0), min(hi-base, size), yield) {
			return false
		}
		base += size
	}
	return true
}

// descend is ascend from the last to the first.
func (n *node) descend(lo, hi int, yield func(item) bool) bool {
	if n.kids == nil {
		for i := hi - 1; i >= lo; i-- {
			if !yield(n.items[i]) {
				return false
			}
		}
		return true
	}
	base := 0
	for _, c := range n.counts {
		base += int(c)
	}
	for i := len(n.kids) - 1; i >= 0; i-- {
		size := int(n.counts[i])
		base -= size
		if base+size <= lo {
			break
		}
		if base < hi && !n.kids[i].descend(max(lo-base, 0), min(hi-base, size), yield) {
			return false
		}
	}
	return true
}
