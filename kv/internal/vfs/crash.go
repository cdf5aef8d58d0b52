package vfs

import (
	"math/rand/v2"
	"slices"
)

// AfterCrash returns the file system as the machine finds it when it starts again: all that was synced, and
// of the rest a random share. Of a file's changes since its last sync, the first few survive, the last of
// them perhaps in part, and perhaps followed by zeros up to a later size. Of a directory's changes, any may
// survive. The receiver fails from now on.
func (m *Mem) AfterCrash(seed uint64) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = true
	r := rand.New(rand.NewPCG(seed, 2))
	after := NewMem()
	after.root = m.root.survive(r, map[*node]*node{})
	return after
}

func (n *node) survive(r *rand.Rand, done map[*node]*node) *node {
	if s := done[n]; s != nil {
		return s
	}
	if !n.dir {
		data := n.surviving(r)
		s := &node{data: data, durable: data}
		done[n] = s
		return s
	}
	s := newDir()
	done[n] = s
	kept := make(move, len(n.kept))
	for name, child := range n.kept {
		kept[name] = child
	}
	all := r.IntN(4) == 0 // a quarter of the crashes finds every directory as it was
	for _, mv := range n.moves {
		if all || r.IntN(2) == 0 {
			mv.on(kept)
		}
	}
	names := make([]string, 0, len(kept))
	for name := range kept {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		child := kept[name].survive(r, done)
		s.entries[name], s.kept[name] = child, child
	}
	return s
}

// surviving returns what a file holds after a crash.
func (n *node) surviving(r *rand.Rand) []byte {
	data := slices.Clone(n.durable)
	if len(n.pending) == 0 {
		return data
	}
	last := r.IntN(len(n.pending) + 1)
	for _, c := range n.pending[:last] {
		if c.cut {
			data = cut(data, c.size)
		} else {
			data = append(data, c.data...)
		}
	}
	if last == len(n.pending) || n.pending[last].cut {
		return data
	}
	torn := n.pending[last].data
	some := r.IntN(len(torn) + 1)
	data = append(data, torn[:some]...)
	if r.IntN(4) == 0 { // the size has reached the disk, the data has not
		data = append(data, make([]byte, r.IntN(len(torn)-some+1))...)
	}
	return data
}
