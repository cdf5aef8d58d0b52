package keys

import (
	"bytes"
	"slices"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/sets"
	"github.com/zmsg/zmsg/kv/internal/table"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// sorting is what SORT is told, and what it sorts.
type sorting struct {
	desc, alpha bool
	keep        bool // the elements stay in their order: BY has a pattern without a star
	by          []byte
	get         [][]byte
	store       []byte
	stored      bool
	start       int64 // LIMIT
	count       int64

	rows []row
}

// row is an element with what it is sorted by.
type row struct {
	element []byte
	score   float64
	weight  []byte // of ALPHA
	missing bool   // there is no weight
}

// sortKeys returns the positions of SORT's keys: what is sorted, and where that is stored.
func sortKeys(args [][]byte) []int {
	positions := []int{1}
	for i := 2; i < len(args); i++ {
		switch {
		case engine.EqualFold(args[i], "LIMIT"):
			i += 2
		case engine.EqualFold(args[i], "GET"), engine.EqualFold(args[i], "BY"):
			i++
		case engine.EqualFold(args[i], "STORE") && i+1 < len(args):
			positions = append(positions[:1], i+1)
		}
	}
	return positions
}

// sort is SORT and SORT_RO.
func sort(c *engine.Client, args [][]byte) {
	s := sorting{count: -1}
	if !s.parse(c, args[2:]) {
		return
	}
	en := c.DB().Read(args[1])
	if en != nil && !sortable(en) {
		c.Error(engine.ErrWrongType)
		return
	}
	if s.keep && en != nil && engine.TypeOf(en) == engine.TypeSet && (s.stored || c.InScript()) {
		// The members of a set have no order that would be the same each time.
		s.keep, s.alpha, s.by = false, true, nil
	}
	first, last := s.load(en)
	if !s.keep {
		if !s.weigh(c) {
			c.Error("ERR One or more scores can't be converted into double")
			return
		}
		slices.SortStableFunc(s.rows, s.compare)
	}
	if s.stored {
		s.save(c, s.rows[first:last])
	} else {
		s.reply(c, s.rows[first:last])
	}
}

// parse reads the options. If it reports false, it has replied an error.
func (s *sorting) parse(c *engine.Client, args [][]byte) (ok bool) {
	readOnly := c.Command().Flags&engine.Write == 0
	for i := 0; i < len(args); i++ {
		switch word, more := args[i], len(args)-i-1; {
		case engine.EqualFold(word, "ASC"):
			s.desc = false
		case engine.EqualFold(word, "DESC"):
			s.desc = true
		case engine.EqualFold(word, "ALPHA"):
			s.alpha = true
		case engine.EqualFold(word, "LIMIT") && more >= 2:
			if s.start, ok = c.ParseInt(args[i+1]); !ok {
				return false
			}
			if s.count, ok = c.ParseInt(args[i+2]); !ok {
				return false
			}
			i += 2
		case engine.EqualFold(word, "STORE") && more >= 1 && !readOnly:
			i++
			s.store, s.stored = args[i], true
		case engine.EqualFold(word, "BY") && more >= 1:
			i++
			s.by = args[i]
			s.keep = s.keep || bytes.IndexByte(untilNUL(s.by), '*') < 0
		case engine.EqualFold(word, "GET") && more >= 1:
			i++
			s.get = append(s.get, args[i])
		default:
			c.Error(engine.ErrSyntax)
			return false
		}
	}
	return true
}

func sortable(en *table.Entry) bool {
	switch engine.TypeOf(en) {
	case engine.TypeList, engine.TypeSet, engine.TypeZSet:
		return true
	}
	return false
}

// load copies the elements, and returns which rows LIMIT asks for. Where the order stays, it copies no
// others.
func (s *sorting) load(en *table.Entry) (first, last int) {
	if en == nil {
		return 0, 0
	}
	switch v := en.Box().Val.(type) {
	case *lists.List:
		first, last = s.limit(v.Len())
		s.loadList(v, first, last)
	case *zsets.ZSet:
		first, last = s.limit(v.Len())
		s.loadSorted(v, first, last)
	case *sets.Set:
		s.expect(v.Len())
		for member := range v.All() {
			s.take(member)
		}
		return s.limit(v.Len())
	}
	if s.keep {
		return 0, last - first
	}
	return first, last
}

// limit returns which of n rows LIMIT asks for.
func (s *sorting) limit(n int) (first, last int) {
	first = int(min(max(s.start, 0), int64(n)))
	if s.count < 0 {
		return first, n
	}
	return first, first + int(min(s.count, int64(n-first)))
}

func (s *sorting) expect(n int) { s.rows = make([]row, 0, n) }

func (s *sorting) take(element []byte) {
	s.rows = append(s.rows, row{element: slices.Clone(element)})
}

func (s *sorting) loadList(l *lists.List, first, last int) {
	if !s.keep {
		first, last = 0, l.Len()
	}
	s.expect(last - first)
	if first == last {
		return
	}
	at, next := l.At(first), (*lists.Cursor).Next
	if s.keep && s.desc {
		at, next = l.At(-1-first), (*lists.Cursor).Prev
	}
	for range last - first {
		s.rows = append(s.rows, row{element: at.AppendValue(nil)})
		next(&at)
	}
}

func (s *sorting) loadSorted(z *zsets.ZSet, first, last int) {
	n := z.Len()
	if !s.keep {
		first, last = 0, n
	}
	s.expect(last - first)
	members := z.Ascend(first, last)
	if s.keep && s.desc {
		members = z.Descend(n-last, n-first)
	}
	for member := range members {
		s.take(member)
	}
}

// reply replies the rows, or what GET asks for in their place.
func (s *sorting) reply(c *engine.Client, rows []row) {
	if len(s.get) == 0 {
		c.Array(len(rows))
		for _, r := range rows {
			c.Bulk(r.element)
		}
		return
	}
	c.Array(len(rows) * len(s.get))
	for _, r := range rows {
		for _, pattern := range s.get {
			if value, found := lookUp(c, pattern, r.element); found {
				c.Bulk(value)
			} else {
				c.Null()
			}
		}
	}
}

// save stores a list of the rows, or of what GET asks for in their place.
func (s *sorting) save(c *engine.Client, rows []row) {
	l := lists.New(c.DB().Stamp(), c.Engine().Config().ListMaxListpackSize)
	for _, r := range rows {
		if len(s.get) == 0 {
			l.PushBack(r.element)
		}
		for _, pattern := range s.get {
			value, _ := lookUp(c, pattern, r.element)
			l.PushBack(value)
		}
	}
	if l.Len() > 0 {
		c.DB().Expire(s.store)
		c.DB().SetValue(s.store, l, 0)
		c.Changed(s.store, engine.EventList, "sortstore")
	} else if c.DB().Remove(s.store) {
		c.Changed(s.store, engine.EventGeneric, "del")
	}
	c.Count(l.Len())
}
