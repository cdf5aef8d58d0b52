package postgres

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/zmsg/zmsg/model"
)

// payload is a queued write as JSON, for a person to read as well. What the columns of a dead letter say,
// its shard and version, is not in it. Times are milliseconds since 1970, which any time can be written as.
type payload struct {
	Op     string `json:"op,omitempty"` // put, delete, count; "" if the entry cannot be read
	Key    exact  `json:"key,omitempty"`
	Record exact  `json:"record,omitempty"`

	ID        int64 `json:"id,omitempty"`
	AuthorID  int64 `json:"author_id,omitempty"`
	Kind      exact `json:"kind,omitempty"`
	Content   exact `json:"content,omitempty"`
	CreatedAt int64 `json:"created_at,omitempty"`
	UpdatedAt int64 `json:"updated_at,omitempty"`

	Subject exact `json:"subject,omitempty"`
	Metric  exact `json:"metric,omitempty"`
	Delta   int64 `json:"delta,omitempty"`
	At      int64 `json:"at,omitempty"`
	Remove  bool  `json:"remove,omitempty"`

	Raw    exact `json:"raw,omitempty"`
	Damage exact `json:"damage,omitempty"`
}

const (
	opPut    = "put"
	opDelete = "delete"
	opCount  = "count"
)

// exact is a string that JSON keeps byte for byte: one that is not UTF-8 is written as {"base64": "..."}.
type exact string

// MarshalJSON writes a string or an object.
func (e exact) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(e)) {
		return json.Marshal(string(e))
	}
	return json.Marshal(encoded{[]byte(e)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *exact) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(e))
	}
	var enc encoded
	err := json.Unmarshal(data, &enc)
	*e = exact(enc.Base64)
	return err
}

type encoded struct {
	Base64 []byte `json:"base64"`
}

// encodePayload never fails: all that is in a payload can be written.
func encodePayload(w *model.Queued) []byte {
	p := payload{Key: exact(w.Key), Record: exact(w.Record), Raw: exact(w.Raw), Damage: exact(w.Damage)}
	if it := w.Item; it != nil {
		p.Op = opPut
		if it.Deleted {
			p.Op = opDelete
		}
		p.ID, p.AuthorID, p.Kind, p.Content = int64(it.ID), int64(it.AuthorID), exact(it.Kind), exact(it.Content)
		p.CreatedAt, p.UpdatedAt = it.CreatedAt.UnixMilli(), it.UpdatedAt.UnixMilli()
	}
	if d := w.Delta; d != nil {
		p.Op, p.Subject, p.Metric, p.Delta = opCount, exact(d.Subject), exact(d.Metric), d.N
		p.At, p.Remove = d.At.UnixMilli(), d.Remove
	}
	out, err := json.Marshal(&p)
	if err != nil {
		panic(fmt.Sprintf("encode a dead letter: %v", err)) // the types above allow no error
	}
	return out
}

// decodePayload reads what encodePayload wrote. What cannot be read comes back as a damaged write, so that
// it can be seen and discarded.
func decodePayload(data []byte) model.Queued {
	var p payload
	if err := json.Unmarshal(data, &p); err != nil {
		return model.Queued{Raw: string(data), Damage: err.Error()}
	}
	w := model.Queued{Key: string(p.Key), Record: string(p.Record), Raw: string(p.Raw), Damage: string(p.Damage)}
	switch p.Op {
	case opPut, opDelete:
		w.Item = &model.Item{
			ID: model.ID(p.ID), AuthorID: model.ID(p.AuthorID), Kind: string(p.Kind),
			CreatedAt: time.UnixMilli(p.CreatedAt).UTC(), UpdatedAt: time.UnixMilli(p.UpdatedAt).UTC(), Deleted: p.Op == opDelete,
		}
		if p.Content != "" {
			w.Item.Content = json.RawMessage(p.Content)
		}
	case opCount:
		w.Delta = &model.Delta{
			Counter: model.Counter{Subject: string(p.Subject), Metric: string(p.Metric)},
			N:       p.Delta, At: time.UnixMilli(p.At).UTC(), Remove: p.Remove,
		}
	}
	return w
}
