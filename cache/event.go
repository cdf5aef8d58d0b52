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

// standing is how a shard stands when it is entered, as the pending script tells it.
type standing struct {
	tip      uint64
	released model.Version
	skipped  model.Version // position of the last release that SQL left something out of
	writes   []Pending     // a page of those that are queued
}

// parsePending reads the reply of the pending script.
func parsePending(cmd *redis.Cmd) (st standing, err error) {
	reply, err := keyspace.ReplyOf(cmd)
	if err != nil {
		return st, err
	}
	if len(reply) < 3 {
		return st, fmt.Errorf("reply of the pending script is damaged: %d values", len(reply))
	}
	st.tip = uint64(reply.Number(0))
	if st.released, err = keyspace.ParseHex(reply.Text(1)); err != nil {
		return st, err
	}
	if st.skipped, err = keyspace.ParseHex(reply.Text(2)); err != nil {
		return st, err
	}
	for _, v := range reply[3:] {
		line, _ := v.(string)
		p, err := parsePendingWrite(line)
		if err != nil {
			return st, err
		}
		st.writes = append(st.writes, p)
	}
	return st, nil
}

// parsePendingWrite reads stream ID, operation and item, author.
func parsePendingWrite(line string) (Pending, error) {
	f := strings.Fields(line)
	if len(f) != 3 || len(f[1]) < 2 {
		return Pending{}, fmt.Errorf("queued write %q is damaged", line)
	}
	version, ok := keyspace.ParseStreamID(f[0])
	id, err1 := strconv.ParseInt(f[1][1:], 10, 64)
	author, err2 := strconv.ParseInt(f[2], 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return Pending{}, fmt.Errorf("queued write %q is damaged", line)
	}
	return Pending{ID: model.ID(id), AuthorID: model.ID(author), Version: version, Deleted: f[1][0] == 'd'}, nil
}
