package keyspace

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zmsg/zmsg/model"
)

// flagRemove marks the change of a counter that was removed.
const flagRemove = "r"

// ParseQueued decodes an entry of a shard's stream. It never fails: of an entry that is not as the scripts
// write it Raw holds all fields, quoted, and Damage says what is wrong. Version is 0 if the ID is none.
func ParseQueued(shard int, id string, values map[string]any) model.Queued {
	q := model.Queued{Shard: shard}
	v, ok := ParseStreamID(id)
	if ok {
		q.Version = v
	}
	err := parseFields(&q, values)
	if !ok {
		err = fmt.Errorf("its ID %q is no version", id)
	}
	if err != nil {
		return model.Queued{Shard: shard, Version: q.Version, Raw: raw(values), Damage: err.Error()}
	}
	return q
}

func parseFields(q *model.Queued, values map[string]any) error {
	var field, text string
	writes := 0
	for name, value := range values {
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf("field %q is a %T", name, value)
		}
		if name != "k" {
			field, text = name, s
			writes++
			continue
		}
		if q.Key, q.Record, ok = strings.Cut(s, "|"); !ok || !isText(q.Key) || !isText(q.Record) || !strings.Contains(q.Record, "|") {
			return fmt.Errorf("its idempotency key %q is damaged", s)
		}
	}
	if writes != 1 {
		return fmt.Errorf("it has %d writes", writes)
	}
	if field == "i" {
		return parseDelta(q, text)
	}
	if field == "" || (field[0] != typeValue && field[0] != typeDelete) {
		return fmt.Errorf("field %q is no write", field)
	}
	id, err := model.ParseID(field[1:])
	if err != nil {
		return fmt.Errorf("field %q is no write: %w", field, err)
	}
	it := &model.Item{ID: id, Version: q.Version, Deleted: field[0] == typeDelete}
	if err := ParseRecord([]byte(text), it); err != nil {
		return err
	}
	q.Item = it
	return nil
}

// parseDelta reads subject|metric|delta|milliseconds|flags.
func parseDelta(q *model.Queued, text string) error {
	f := strings.Split(text, "|")
	if len(f) != 5 || !isText(f[0]) || !isText(f[1]) || (f[4] != "" && f[4] != flagRemove) {
		return fmt.Errorf("change %q of a counter is damaged", text)
	}
	n, err1 := parseInt(f[2])
	at, err2 := parseInt(f[3])
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("change %q of a counter is damaged: %w", text, err)
	}
	// A set may lead from one end of the range to the other, and from as far beyond it as blind additions lead.
	if n < -3*model.MaxCount || n > 3*model.MaxCount {
		return fmt.Errorf("change %q of a counter is greater than any that there is", text)
	}
	q.Delta = &model.Delta{
		Counter: model.Counter{Subject: f[0], Metric: f[1]},
		N:       n, At: time.UnixMilli(at).UTC(), Remove: f[4] == flagRemove,
	}
	return nil
}

// isText reports whether SQL can hold s in a name.
func isText(s string) bool { return s != "" && utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// raw returns all fields of an entry and their values, quoted and sorted.
func raw(values map[string]any) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		words = append(words, strconv.Quote(name), strconv.Quote(fmt.Sprint(values[name])))
	}
	return strings.Join(words, " ")
}

// AppendCount appends what the count script is told of one change.
func AppendCount(args []any, c *model.Count) []any {
	op := "a"
	switch c.Op {
	case model.CountAdd:
	case model.CountSet:
		op = "s"
	case model.CountRemove:
		op = "r"
	}
	return append(args, c.Subject, c.Metric, op, c.N, c.IdempotencyKey, c.Fingerprint)
}
