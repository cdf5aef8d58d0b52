package cache

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
)

// parseEvent reads the value of a write's event: ID, author, milliseconds of Unix time.
func parseEvent(text string) (Pending, time.Time, error) {
	f := strings.Fields(text)
	if len(f) != 3 {
		return Pending{}, time.Time{}, fmt.Errorf("event %q is damaged", text)
	}
	var n [3]int64
	for i := range f {
		var err error
		if n[i], err = strconv.ParseInt(f[i], 10, 64); err != nil {
			return Pending{}, time.Time{}, fmt.Errorf("event is damaged: %w", err)
		}
	}
	return Pending{ID: model.ID(n[0]), AuthorID: model.ID(n[1])}, time.UnixMilli(n[2]), nil
}

// parsePending reads the reply of the pending script.
func parsePending(cmd *redis.Cmd) (tip uint64, released model.Version, writes []Pending, err error) {
	reply, err := keyspace.ReplyOf(cmd)
	if err != nil {
		return 0, 0, nil, err
	}
	if len(reply) < 2 {
		return 0, 0, nil, fmt.Errorf("reply of the pending script is damaged: %d values", len(reply))
	}
	if released, err = keyspace.ParseHex(reply.Text(1)); err != nil {
		return 0, 0, nil, err
	}
	for _, v := range reply[2:] {
		line, _ := v.(string)
		f := strings.Fields(line) // stream ID, operation and item, author
		if len(f) != 3 || len(f[1]) < 2 {
			return 0, 0, nil, fmt.Errorf("queued write %q is damaged", line)
		}
		version, ok := keyspace.ParseStreamID(f[0])
		id, err1 := strconv.ParseInt(f[1][1:], 10, 64)
		author, err2 := strconv.ParseInt(f[2], 10, 64)
		if !ok || err1 != nil || err2 != nil {
			return 0, 0, nil, fmt.Errorf("queued write %q is damaged", line)
		}
		writes = append(writes, Pending{ID: model.ID(id), AuthorID: model.ID(author), Version: version, Deleted: f[1][0] == 'd'})
	}
	return uint64(reply.Number(0)), released, writes, nil
}
