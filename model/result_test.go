package model_test

import (
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

func TestResultsComeBackAsTheyWereRemembered(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_123).UTC()
	for _, want := range []model.WriteResult{
		{ID: 7, Version: model.NewVersion(3, 9), CreatedAt: at, UpdatedAt: at.Add(time.Second), Created: true},
		{ID: 1<<63 - 1, Version: model.NewVersion(model.MaxEpoch, model.MaxSeq), CreatedAt: time.UnixMilli(0).UTC(), UpdatedAt: at},
	} {
		got, err := model.ParseWriteResult(want.Encode())
		want.Outcome, want.Replayed = model.OutcomeApplied, true
		if err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	for _, want := range []model.CountResult{
		{Value: 5, Known: true, Version: model.NewVersion(1, 2)},
		{Value: -model.MaxCount, Known: true},
		{Version: model.NewVersion(2, 1)}, // counted while its total was not known
	} {
		got, err := model.ParseCountResult(want.Encode())
		want.Outcome, want.Replayed = model.OutcomeApplied, true
		if err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func FuzzParseWriteResult(f *testing.F) {
	f.Add("7|3|9|1700000000123|1700000001123|0")
	f.Add("")
	f.Add("7|3|9|x||")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := model.ParseWriteResult(s)
		if err != nil {
			return
		}
		if again, err := model.ParseWriteResult(r.Encode()); err != nil || again != r {
			t.Errorf("%q is read as %+v, which is read as %+v, %v", s, r, again, err)
		}
	})
}

func FuzzParseCountResult(f *testing.F) {
	f.Add("5|1|2")
	f.Add("|1|2")
	f.Add("-9007199254740991|0|0")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := model.ParseCountResult(s)
		if err != nil {
			return
		}
		if again, err := model.ParseCountResult(r.Encode()); err != nil || again != r {
			t.Errorf("%q is read as %+v, which is read as %+v, %v", s, r, again, err)
		}
	})
}

func TestRecordBelongsToItsRequest(t *testing.T) {
	t.Parallel()
	record := model.Record("ab", "1|2|3")
	if result, same := model.ResultIn(record, "ab"); !same || result != "1|2|3" {
		t.Errorf("got %q, %v", result, same)
	}
	for _, other := range []string{"", "a", "abc", "b"} {
		if _, same := model.ResultIn(record, other); same {
			t.Errorf("%q is taken for the same request", other)
		}
	}
}
