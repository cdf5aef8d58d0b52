package postgres_test

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/repo/postgres"
)

// What a dead letter keeps is what was queued, whatever the bytes.
func FuzzPayload(f *testing.F) {
	f.Add(int64(1), int64(2), "post", []byte(`{"a":"<é>"}`), "", false, int64(1000))
	f.Add(int64(-1), int64(math.MinInt64), "\x00\xff", []byte("\xfe\x00"), "k", true, int64(math.MaxInt64))
	f.Add(int64(0), int64(0), "", []byte(nil), `{"base64":""}`, true, int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, id, n int64, kind string, content []byte, key string, flag bool, ms int64) {
		if len(content) == 0 {
			content = nil // the empty content of a tombstone
		}
		at := time.UnixMilli(ms).UTC()
		item := model.Item{
			ID: model.ID(id), AuthorID: model.ID(n), Kind: kind, Content: content,
			CreatedAt: at, UpdatedAt: time.UnixMilli(id).UTC(), Deleted: flag,
		}
		delta := model.Delta{Counter: model.Counter{Subject: kind, Metric: string(content)}, N: n, At: at, Remove: flag}
		for _, w := range []model.Queued{
			{Item: &item, Key: key, Record: kind},
			{Delta: &delta, Key: key, Record: kind},
			{Raw: string(content), Damage: kind, Key: key},
		} {
			data := postgres.EncodePayload(&w)
			if !json.Valid(data) {
				t.Errorf("%q is no JSON", data)
			}
			if got := postgres.DecodePayload(data); !reflect.DeepEqual(got, w) {
				t.Errorf("%+v came back as %+v from %s", w, got, data)
			}
		}
	})
}

func TestPayloadIsReadable(t *testing.T) {
	t.Parallel()
	it := liveItem(17)
	it.Content = []byte(`"x"`)
	got := postgres.EncodePayload(&model.Queued{Item: &it, Key: "k", Record: "fp|1"})
	const want = `{"op":"put","key":"k","record":"fp|1","id":17,"author_id":18,"kind":"post","content":"\"x\"",` +
		`"created_at":1772366400000,"updated_at":1772366400000}`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if w := postgres.DecodePayload([]byte("{")); w.Raw != "{" || w.Damage == "" {
		t.Errorf("what is no payload is read as %+v", w)
	}
}
