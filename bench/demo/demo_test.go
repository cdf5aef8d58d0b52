package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// loaded returns a demo whose items are in the fake service.
func loaded(t *testing.T, faulty bool) (*demo, *fake) {
	t.Helper()
	f, bases := newFake(t, faulty)
	d := newDemo(options{addrs: bases, items: 600, authors: 20, reads: 300, workers: 6, seed: 7})
	d.report.out = io.Discard
	t.Cleanup(d.api.close)
	if n, err := d.load(t.Context(), nil); err != nil || n != 600 {
		t.Fatalf("loaded %d items, %v", n, err)
	}
	return d, f
}

// check runs what follows the load, with the fake's items in the place of SQL's, and returns how many
// mismatches there were before and after.
func check(t *testing.T, d *demo, f *fake) int {
	t.Helper()
	rows := map[model.ID]*model.Item{}
	for id, it := range f.items {
		row := *it
		rows[id] = &row
	}
	compareRows(d.report, d.book, rows)
	for name, phase := range map[string]func() (int, error){
		"read back": func() (int, error) { return d.readBack(t.Context()) },
		"items":     func() (int, error) { return d.verifyItems(t.Context()) },
		"lists":     func() (int, error) { return d.verifyLists(t.Context()) },
	} {
		if n, err := phase(); err != nil || n == 0 {
			t.Fatalf("%s: %d done, %v", name, n, err)
		}
	}
	return d.report.mismatches
}

// The record must stay exact whatever happens to requests and answers.
func TestDemo_RecordIsExact(t *testing.T) {
	t.Parallel()
	for _, faulty := range []bool{false, true} {
		t.Run(fmt.Sprintf("Faulty=%v", faulty), func(t *testing.T) {
			t.Parallel()
			d, f := loaded(t, faulty)
			if n, err := d.measureInvalidation(t.Context()); err != nil || n == 0 {
				t.Fatalf("%d trials, %v", n, err)
			}
			if n := check(t, d, f); n != 0 {
				t.Errorf("%d mismatches: %s", n, strings.Join(d.report.shown, "\n"))
			}
			if faulty == (d.report.unknown == 0) {
				t.Errorf("%d outcomes were unknown", d.report.unknown)
			}
			deleted, edited := 0, 0
			for _, it := range d.book.items {
				if it.Deleted {
					deleted++
				} else if strings.Contains(string(it.Content), "edited") {
					edited++
				}
			}
			if deleted == 0 || edited == 0 || len(d.report.delays) == 0 {
				t.Errorf("%d deletions, %d patches, %d delays", deleted, edited, len(d.report.delays))
			}
		})
	}
}

// Whatever the service spoils after it has acknowledged it must be found, by each of the comparisons.
func TestDemo_FindsWhatWasSpoilt(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		deleted bool // which kind of item is spoilt
		spoil   func(f *fake, it *model.Item)
		want    int // mismatches in SQL, two batch reads, and at least one list
	}{
		"LostWrite":    {false, func(f *fake, it *model.Item) { delete(f.items, it.ID) }, 4},
		"OldContent":   {false, func(_ *fake, it *model.Item) { it.Content = json.RawMessage(`"old"`) }, 4},
		"OldVersion":   {false, func(_ *fake, it *model.Item) { it.Version-- }, 4},
		"Resurrection": {true, func(_ *fake, it *model.Item) { it.Deleted = false }, 4},
		"Duplicate": {false, func(f *fake, it *model.Item) {
			twin := *it
			twin.ID = 1
			f.items[1] = &twin
		}, 2}, // SQL and a list: nobody asks for an ID that he does not know
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, f := loaded(t, false)
			for _, it := range d.book.items {
				if it.Deleted == c.deleted {
					c.spoil(f, f.items[it.ID])
					break
				}
			}
			if n := check(t, d, f); n < c.want {
				t.Errorf("%d mismatches, want %d or more: %s", n, c.want, strings.Join(d.report.shown, "\n"))
			}
		})
	}
}

func TestCompareRows_TakesOverTimes(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(5).UTC()
	b := &book{items: []*model.Item{{ID: 1, Version: 3}}}
	r := newReport(io.Discard)
	compareRows(r, b, map[model.ID]*model.Item{1: {ID: 1, Version: 3, CreatedAt: at, UpdatedAt: at}})
	if r.mismatches != 0 || b.items[0].CreatedAt != at {
		t.Fatalf("%d mismatches, item %+v", r.mismatches, b.items[0])
	}
	got := *b.items[0]
	got.UpdatedAt = at.Add(1)
	if difference(b.items[0], &got) == "" {
		t.Error("another time is no difference")
	}
}

func TestLoadRows(t *testing.T) {
	t.Parallel()
	dsn := testenv.DB(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // The database goes with the test.
	_, err = conn.Exec(t.Context(), `CREATE TABLE feeds (id bigint, author_id bigint, kind text, content text,
			created_at timestamptz, updated_at timestamptz, version bigint, deleted boolean);
		INSERT INTO feeds VALUES
			(1, 10, 'post', '{"a": 1}', '2026-01-02T03:04:05.678Z', '2026-01-02T03:04:06Z', 7, false),
			(2, 11, 'post', '', now(), now(), 9223372036854775807, true),
			(3, 12, 'post', '1', now(), now(), 8, false), (4, 9, 'post', '1', now(), now(), 8, false)`)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := loadRows(t.Context(), dsn, authors{first: 10, n: 2})
	if err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	want := model.Item{
		ID: 1, AuthorID: 10, Kind: "post", Content: json.RawMessage(`{"a": 1}`), Version: 7,
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), UpdatedAt: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
	}
	if diff := difference(&want, rows[1]); diff != "" || !rows[2].Deleted {
		t.Errorf("%s; row 2 is %+v", diff, rows[2])
	}
	d := newDemo(options{dsn: dsn})
	d.report.out = io.Discard
	d.authors = authors{first: 10, n: 2}
	d.book.items = []*model.Item{&want, {ID: 2, Deleted: true}}
	if n, err := d.awaitDrained(t.Context()); err != nil || n != 1 || d.report.mismatches != 0 {
		t.Errorf("%d live items, %v, %d mismatches", n, err, d.report.mismatches)
	}
}

func TestTierOf(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{
		"zmsg; hit; detail=l1":             "l1",
		"zmsg; hit; detail=bloom":          "bloom",
		"zmsg; fwd=miss":                   "sql (miss)",
		"zmsg; fwd=bypass; fwd-status=200": "sql (bypass)",
		"":                                 "unknown",
	} {
		if got := tierOf(status); got != want {
			t.Errorf("%q is of tier %q, want %q", status, got, want)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var all []time.Duration
	if got := percentile(all, 99); got != 0 {
		t.Errorf("of nothing it is %d", got)
	}
	for i := 200; i > 0; i-- {
		all = append(all, time.Duration(i))
	}
	for p, want := range map[int]time.Duration{1: 2, 50: 100, 99: 198, 100: 200} {
		if got := percentile(all, p); got != want {
			t.Errorf("p%d is %d, want %d", p, got, want)
		}
	}
}

func TestReport_PrintsWhatItCounted(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	r := newReport(&out)
	r.phase("load", 10, time.Second)
	r.latency("GET", 2*time.Millisecond)
	r.reads(map[string]int{"l1": 3, "sql (miss)": 1})
	for i := range shownMismatches + 5 {
		r.mismatch("SQL", model.ID(i+1), "is wrong")
	}
	if n := r.print(); n != shownMismatches+5 {
		t.Errorf("%d mismatches", n)
	}
	for _, want := range []string{"l1", "75.0%", "25.0%", "2.00", "SQL, item 10: is wrong", "15 mismatches", "15 in SQL"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the summary lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "item 11:") {
		t.Error("it shows too many mismatches")
	}
}

func TestParseFlags(t *testing.T) {
	t.Parallel()
	o, err := parseFlags([]string{"-addrs", "http://a,http://b", "-dsn", "postgres://x", "-items", "50"})
	if err != nil || len(o.addrs) != 2 || o.reads != 50 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{
		{"-addrs", "http://a"},
		{"-addrs", "http://a", "-dsn", "x", "-kill"},
		{"-authors", "1"},
		{"-items", "0"},
	} {
		if _, err := parseFlags(args); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

func TestDraftJSON_KeepsTheContent(t *testing.T) {
	t.Parallel()
	it := model.Item{ID: 5, AuthorID: 6, Content: json.RawMessage(`{ "a" : "<b>" , "n":1.50 }`)}
	var w wireItem
	if err := json.Unmarshal(draftJSON(&it, true), &w); err != nil {
		t.Fatal(err)
	}
	if w.ID != "5" || w.AuthorID != "6" || w.Kind != "" || string(w.Content) != string(it.Content) {
		t.Errorf("%+v", w)
	}
}
