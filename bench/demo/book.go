package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/zmsg/zmsg/model"
)

// book is the record of all acknowledged writes: what every item must be now. While the load runs each
// item belongs to one worker, which alone writes it; the book is read when they are done.
type book struct {
	mu    sync.Mutex
	items []*model.Item // deleted ones too
}

// add records new items.
func (b *book) add(items []*model.Item) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items = append(b.items, items...)
}

// byAuthor returns the live items of each author, newest first.
func (b *book) byAuthor() map[model.ID][]*model.Item {
	lists := map[model.ID][]*model.Item{}
	for _, it := range b.items {
		if !it.Deleted {
			lists[it.AuthorID] = append(lists[it.AuthorID], it)
		}
	}
	for _, list := range lists {
		slices.SortFunc(list, func(a, b *model.Item) int { return int(max(-1, min(1, b.ID-a.ID))) })
	}
	return lists
}

// difference says where got is not what want says, "" if nowhere. Times are compared if want has them.
func difference(want *model.Item, got *model.Item) string {
	var parts []string
	note := func(field string, w, g any) {
		parts = append(parts, fmt.Sprintf("%s is %v, want %v", field, g, w))
	}
	if want.ID != got.ID {
		note("id", want.ID, got.ID)
	}
	if want.AuthorID != got.AuthorID {
		note("author_id", want.AuthorID, got.AuthorID)
	}
	if want.Kind != got.Kind {
		note("kind", want.Kind, got.Kind)
	}
	if !bytes.Equal(want.Content, got.Content) {
		note("content", string(want.Content), string(got.Content))
	}
	if want.Version != got.Version {
		note("version", want.Version, got.Version)
	}
	if !want.CreatedAt.IsZero() && !want.CreatedAt.Equal(got.CreatedAt) {
		note("created_at", want.CreatedAt, got.CreatedAt)
	}
	if !want.UpdatedAt.IsZero() && !want.UpdatedAt.Equal(got.UpdatedAt) {
		note("updated_at", want.UpdatedAt, got.UpdatedAt)
	}
	return strings.Join(parts, "; ")
}

// authors are IDs that no earlier run used, so that a list holds what this run wrote and nothing else.
type authors struct {
	first model.ID
	n     int
}

func newAuthors(seed uint64, n int) authors {
	rng := rand.New(rand.NewPCG(seed, 0))
	return authors{first: model.ID(1+rng.Int64N(1<<30)) << 32, n: n}
}

func (a authors) id(rank uint64) model.ID { return a.first + model.ID(rank) }

// zipf draws ranks below n: the first ones far more often than the rest.
func zipf(rng *rand.Rand, n int) *rand.Zipf { return rand.NewZipf(rng, 1.1, 4, uint64(n-1)) }

// kinds: "" asks for the default.
var kinds = []string{"", "post", "photo", "reply", "poll.v2", "link:external"}

// phrases hold what encoders like to change: entities, line separators, escapes, other planes.
var phrases = []string{
	"Hello", "coffee <b>&amp;</b> code", `a \"quoted\" word`, `tab\tand\nline`, "smörgåsbord",
	"日本語のテキスト", "emoji 🎉 and \u2028 separator", `escaped \u00e9 and \ud83d\ude00`, "100% / 0%", "the quick brown fox",
}

// newContent returns JSON that must come back byte for byte.
func newContent(rng *rand.Rand) json.RawMessage {
	switch rng.IntN(20) {
	case 0:
		return fmt.Appendf(nil, "%d.%02de+1", rng.IntN(1000), rng.IntN(100))
	case 1:
		return fmt.Appendf(nil, `[ 1, 2.50 ,"%s", null ]`, phrases[rng.IntN(len(phrases))])
	}
	var text strings.Builder
	for range 1 + rng.IntN(24) {
		text.WriteString(phrases[rng.IntN(len(phrases))])
		text.WriteByte(' ')
	}
	return fmt.Appendf(nil, `{"text": "%s", "tags":["t%d", "t%d"],"score":%d.50,  "geo":{"lat":%d.10,"lon": null}}`,
		text.String(), rng.IntN(100), rng.IntN(100), rng.IntN(1000), rng.IntN(90))
}

// newPatch returns a merge patch.
func newPatch(rng *rand.Rand) json.RawMessage {
	return fmt.Appendf(nil, `{"text":"edited %d %s","score":null,"geo":{"lon":%d.25},"edits":[%d]}`,
		rng.IntN(1000), phrases[rng.IntN(len(phrases))], rng.IntN(180), rng.IntN(1000))
}

// isPatched reports whether after is before as changed by patch, however it is spelled.
func isPatched(before, patch, after json.RawMessage) (bool, error) {
	b, err := decode(before)
	if err != nil {
		return false, err
	}
	p, err := decode(patch)
	if err != nil {
		return false, err
	}
	a, err := decode(after)
	if err != nil {
		return false, err
	}
	return reflect.DeepEqual(merge(b, p), a), nil
}

// merge is the pseudocode of RFC 7396, section 2.
func merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged, ok := target.(map[string]any)
	if !ok {
		merged = map[string]any{}
	}
	for name, v := range changes {
		if v == nil {
			delete(merged, name)
		} else {
			merged[name] = merge(merged[name], v)
		}
	}
	return merged
}

func decode(b []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}
