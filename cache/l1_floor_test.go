package cache

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/model"
)

// bodyOf is what tests serve as version v, nothing for 0: absence.
func bodyOf(v model.Version) []byte {
	if v == 0 {
		return nil
	}
	return []byte(v.String())
}

// A reader that began before another one may end after it. What the other answered must be the least
// that is filled in from then on, even where its own fill was refused.
func TestL1FloorRefusesReadersThatBeganEarlier(t *testing.T) {
	t.Parallel()
	for name, fillNewer := range map[string]func(l *L1, stale Gen){
		"InvalidatedMeanwhile": func(l *L1, stale Gen) { l.Fill(1, stale, 1, 9, []byte("new")) },
		"TooLarge":             func(l *L1, _ Gen) { l.Fill(1, l.Begin(1), 1, 9, make([]byte, 2*mebibyte)) },
		"Deleted": func(l *L1, _ Gen) {
			l.Fill(1, l.Begin(1), 1, 9, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Absences are not cached here, so that a deletion leaves only its version.
			l, clock := newTestL1(t, L1Config{MaxBytes: mebibyte, TTL: time.Minute})
			stale := l.Begin(1)
			l.Invalidate(1)
			early := l.Begin(1)
			fillNewer(l, stale)
			if _, _, ok := l.Get(1, 1); ok {
				t.Fatal("the refused fill is served")
			}
			for _, older := range []model.Version{0, 8} {
				l.Fill(1, early, 1, older, bodyOf(older))
				if v, body, ok := l.Get(1, 1); ok {
					t.Fatalf("version %d (%q) after 9 was answered", v, body)
				}
			}
			l.Fill(1, early, 0, 10, []byte("of an ended era"))
			clock.advance(time.Hour) // a floor has no age
			early = l.Begin(1)
			l.Fill(1, early, 1, 8, []byte("old"))
			if v, _, ok := l.Get(1, 1); ok {
				t.Fatalf("version %d after 9 was answered", v)
			}
			l.Fill(1, early, 1, 9, []byte("same"))
			if v, _, ok := l.Get(1, 1); !ok || v != 9 {
				t.Errorf("the version itself is refused: %v %v", v, ok)
			}
		})
	}
}

// An invalidation removes the floor together with all readers that it was for.
func TestL1InvalidationEndsTheFloor(t *testing.T) {
	t.Parallel()
	l, _ := smallL1(t)
	stale := l.Begin(1)
	l.Invalidate(1)
	l.Fill(1, stale, 1, 9, []byte("new"))
	l.Invalidate(1)
	l.Fill(1, l.Begin(1), 1, 3, []byte("restored"))
	if v, _, ok := l.Get(1, 1); !ok || v != 3 {
		t.Errorf("got %v %v", v, ok)
	}
}

// l1Model is L1 as a map under the rules of its documentation.
type l1Model struct {
	now   func() time.Time
	known map[model.ID]l1Known
}

// l1Known is one entry; a floor has no expiry.
type l1Known struct {
	era     uint32
	version model.Version
	absent  bool
	expiry  time.Time
}

const testAbsentTTL = 10 * time.Second

// fill takes what a read has found that began so long ago.
func (m *l1Model) fill(id model.ID, late bool, ago time.Duration, n l1Known) {
	ttl := time.Minute
	if n.absent {
		ttl = testAbsentTTL
	}
	late = late || ago >= ttl
	old, had := m.known[id]
	live := old.expiry.After(m.now())
	isFloor := had && old.expiry.IsZero()
	unknown := n.version == 0 // SQL has no row: the deletion, if there was one, is forgotten
	switch {
	case had && old.era > n.era:
		return
	case had && old.era == n.era && old.version > n.version && (!unknown || live || isFloor):
		return
	case late && unknown:
		return
	case late:
		n.expiry = time.Time{}
	default:
		n.expiry = m.now().Add(ttl - ago)
	}
	m.known[id] = n
}

// get returns what is served, and whether anything is.
func (m *l1Model) get(id model.ID, era uint32) (model.Version, bool) {
	k, ok := m.known[id]
	if !ok || k.era != era || !k.expiry.After(m.now()) {
		return 0, false
	}
	if k.absent {
		return 0, true
	}
	return k.version, true
}

// TestL1RandomOperations compares the cache, which holds all entries, with a map under all rules.
func TestL1RandomOperations(t *testing.T) {
	t.Parallel()
	const items, eras = 4, 2
	rapid.Check(t, func(t *rapid.T) {
		clock := new(fakeClock)
		l, err := NewL1(L1Config{MaxBytes: mebibyte, TTL: time.Minute, AbsentTTL: testAbsentTTL}, clock.now)
		if err != nil {
			t.Fatal(err)
		}
		m := l1Model{now: clock.now, known: make(map[model.ID]l1Known)}
		noted := make(map[model.ID]Gen)
		ids := rapid.Custom(func(t *rapid.T) model.ID { return model.ID(rapid.IntRange(1, items).Draw(t, "n")) })
		t.Repeat(map[string]func(*rapid.T){
			"note":       func(t *rapid.T) { id := ids.Draw(t, "id"); noted[id] = l.Begin(id) },
			"wait":       func(t *rapid.T) { clock.advance(time.Duration(rapid.IntRange(1, 40).Draw(t, "s")) * time.Second) },
			"invalidate": func(t *rapid.T) { id := ids.Draw(t, "id"); l.Invalidate(id); delete(m.known, id) },
			"fill": func(t *rapid.T) {
				id := ids.Draw(t, "id")
				gen := l.Begin(id)
				if old, ok := noted[id]; ok && rapid.Bool().Draw(t, "late") {
					gen = old
				}
				n := l1Known{era: uint32(rapid.IntRange(1, eras).Draw(t, "era")), version: model.Version(rapid.IntRange(0, 3).Draw(t, "version"))}
				n.absent = n.version == 0 || rapid.Bool().Draw(t, "deleted")
				body := bodyOf(n.version)
				if n.absent {
					body = nil
				}
				now := l.Begin(id)
				l.Fill(id, gen, n.era, n.version, body)
				m.fill(id, gen.count != now.count, now.began-gen.began, n)
			},
			"": func(t *rapid.T) {
				for id := model.ID(1); id <= items; id++ {
					for era := uint32(1); era <= eras; era++ {
						want, found := m.get(id, era)
						v, body, ok := l.Get(id, era)
						if ok != found || v != want || string(body) != string(bodyOf(want)) {
							t.Fatalf("item %d, era %d: got %v %q %v, want %v %v of %+v", id, era, v, body, ok, want, found, m.known[id])
						}
					}
				}
			},
		})
	})
}
