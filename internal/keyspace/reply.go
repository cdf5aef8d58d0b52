package keyspace

import (
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/model"
)

// Reply is the array that a script returned. What is not there, or of another type, reads as zero.
type Reply []any

// ReplyOf returns the reply of a script that has been run.
func ReplyOf(cmd *redis.Cmd) (Reply, error) {
	r, err := cmd.Slice()
	if err == nil && len(r) == 0 {
		err = errors.New("keyspace: a script returned nothing")
	}
	return r, err
}

// Text returns element i as a string.
func (r Reply) Text(i int) string {
	if i < len(r) {
		if s, ok := r[i].(string); ok {
			return s
		}
	}
	return ""
}

// Queued returns element i, an entry of the stream of a shard, unless there is none or it is damaged.
func (r Reply) Queued(i, shard int) (q model.Queued, ok bool) {
	if i >= len(r) {
		return q, false
	}
	entry, _ := r[i].([]any)
	if len(entry) != 2 {
		return q, false
	}
	fields, _ := entry[1].([]any)
	values := make(map[string]any, len(fields)/2)
	for k := 0; k+1 < len(fields); k += 2 {
		values[Reply(fields).Text(k)] = fields[k+1]
	}
	q = ParseQueued(shard, Reply(entry).Text(0), values)
	return q, q.Damage == ""
}

// Number returns element i as an integer.
func (r Reply) Number(i int) int64 {
	if i < len(r) {
		if n, ok := r[i].(int64); ok {
			return n
		}
	}
	return 0
}
