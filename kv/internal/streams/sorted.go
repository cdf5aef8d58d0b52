package streams

import (
	"iter"
	"slices"
	"sort"
)

// chunkSize is how many items a chunk has at most: 8 KB of Pending.
const chunkSize = 200

// item is what a sorted list is sorted by.
type item interface{ key() ID }

// sorted is a list of items in the order of their IDs, in chunks that are copied before they are changed when
// a snapshot shares them. Items have no pointers.
type sorted[E item] struct {
	chunks []*chunk[E] // none is empty
	n      int
}

type chunk[E item] struct {
	stamp uint32
	items []E
}

// clone returns a list that shares the chunks.
func (l *sorted[E]) clone() sorted[E] {
	return sorted[E]{append(make([]*chunk[E], 0, len(l.chunks)+1), l.chunks...), l.n}
}

// seek returns where the first item at id or behind it is; c is len(l.chunks) if there is none.
func (l *sorted[E]) seek(id ID) (c, i int, found bool) {
	c = sort.Search(len(l.chunks), func(i int) bool { return id.less(l.chunks[i].items[0].key()) }) - 1
	if c < 0 {
		return 0, 0, false
	}
	items := l.chunks[c].items
	if items[len(items)-1].key().less(id) {
		return c + 1, 0, false
	}
	i = sort.Search(len(items), func(i int) bool { return !items[i].key().less(id) })
	return c, i, items[i].key() == id
}

// get returns the item with an ID.
func (l *sorted[E]) get(id ID) (e E, found bool) {
	c, i, found := l.seek(id)
	if found {
		e = l.chunks[c].items[i]
	}
	return e, found
}

// from returns the first item at id or behind it.
func (l *sorted[E]) from(id ID) (e E, found bool) {
	c, i, _ := l.seek(id)
	if c == len(l.chunks) {
		return e, false
	}
	return l.chunks[c].items[i], true
}

// all returns the items at id and behind it. The list may not change meanwhile.
func (l *sorted[E]) all(id ID) iter.Seq[E] {
	return func(yield func(E) bool) {
		c, i, _ := l.seek(id)
		for ; c < len(l.chunks); c, i = c+1, 0 {
			for _, e := range l.chunks[c].items[i:] {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// last returns the last item of a list that has one.
func (l *sorted[E]) last() E {
	items := l.chunks[len(l.chunks)-1].items
	return items[len(items)-1]
}

func (l *sorted[E]) own(stamp uint32, c int) *chunk[E] {
	k := l.chunks[c]
	if k.stamp != stamp {
		k = &chunk[E]{stamp, slices.Clone(k.items)}
		l.chunks[c] = k
	}
	return k
}

// put adds an item, or replaces that of the same ID. It reports whether it was added.
func (l *sorted[E]) put(stamp uint32, e E) bool {
	c, i, found := l.seek(e.key())
	if found {
		l.own(stamp, c).items[i] = e
		return false
	}
	l.n++
	if i == 0 && c > 0 && len(l.chunks[c-1].items) < chunkSize {
		k := l.own(stamp, c-1)
		k.items = append(k.items, e)
		return true
	}
	if c == len(l.chunks) {
		l.chunks = append(l.chunks, &chunk[E]{stamp, append([]E{}, e)})
		return true
	}
	k := l.own(stamp, c)
	if len(k.items) >= chunkSize {
		half := &chunk[E]{stamp, slices.Clone(k.items[chunkSize/2:])}
		k.items = k.items[:chunkSize/2]
		l.chunks = slices.Insert(l.chunks, c+1, half)
		if i > len(k.items) {
			k, i = half, i-len(k.items)
		}
	}
	k.items = slices.Insert(k.items, i, e)
	return true
}

// delete removes the item with an ID, and reports whether it was there.
func (l *sorted[E]) delete(stamp uint32, id ID) bool {
	c, i, found := l.seek(id)
	if !found {
		return false
	}
	l.n--
	k := l.own(stamp, c)
	if i == 0 {
		k.items = k.items[1:]
	} else {
		k.items = slices.Delete(k.items, i, i+1)
	}
	switch {
	case len(k.items) == 0:
		l.chunks = cut(l.chunks, c)
	case len(k.items) >= chunkSize/4:
	case c+1 < len(l.chunks) && len(l.chunks[c+1].items) < chunkSize/2:
		k.items = append(k.items, l.chunks[c+1].items...)
		l.chunks = slices.Delete(l.chunks, c+1, c+2)
	case c > 0 && len(l.chunks[c-1].items) < chunkSize/2:
		prev := l.own(stamp, c-1)
		prev.items = append(prev.items, k.items...)
		l.chunks = slices.Delete(l.chunks, c, c+1)
	}
	return true
}
