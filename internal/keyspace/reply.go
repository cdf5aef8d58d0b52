package keyspace

import (
	"errors"

	"github.com/redis/go-redis/v9"
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

// Number returns element i as an integer.
func (r Reply) Number(i int) int64 {
	if i < len(r) {
		if n, ok := r[i].(int64); ok {
			return n
		}
	}
	return 0
}
