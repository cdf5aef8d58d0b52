package kv

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/inproc"
	"github.com/zmsg/zmsg/kv/internal/resp"
)

// wait runs a command that blocks for as long as it must, on a connection of its own, until it has a result or
// ctx ends.
func (db *DB) wait(ctx context.Context, name string, args ...any) (resp.Value, error) {
	if err := ctx.Err(); err != nil {
		return resp.Value{}, err
	}
	if db.closed.Load() {
		return resp.Value{}, ErrClosed
	}
	conn, err := inproc.Dial(db.engine)
	if err != nil {
		return resp.Value{}, err
	}
	defer func() { _ = conn.Close() }() // has been read to the end, or abandoned
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	c := &call{}
	c.gather(name, args)
	request := engine.AppendCommand(nil, [][]byte{[]byte("HELLO"), []byte("3")})
	if db.space.Index() != 0 {
		request = engine.AppendCommand(request, [][]byte{[]byte("SELECT"), itoa(db.space.Index())})
	}
	if _, err := conn.Write(engine.AppendCommand(request, c.args)); err != nil {
		return resp.Value{}, db.ended(err)
	}
	replies := 2
	if db.space.Index() != 0 {
		replies = 3
	}
	var in []byte
	abandoned := false
	for buf := make([]byte, 4096); ; {
		v, n, err := resp.Decode(in)
		if err != nil {
			return v, err
		}
		if n > 0 {
			in = in[n:]
			if replies--; replies > 0 {
				continue
			}
			if v.Kind == resp.Error {
				return v, replied(string(v.Str))
			}
			return v, nil
		}
		n, err = conn.Read(buf)
		in = append(in, buf[:n]...)
		switch {
		case err == nil:
		case ctx.Err() == nil || !errors.Is(err, os.ErrDeadlineExceeded):
			return resp.Value{}, db.ended(err)
		case abandoned:
			return resp.Value{}, ctx.Err()
		default:
			// It may have been served between the last look and the end of ctx: then that is the result.
			conn.Abandon()
			abandoned = true
		}
	}
}

// ended is ErrClosed if that is why a connection has failed.
func (db *DB) ended(err error) error {
	if db.closed.Load() {
		return ErrClosed
	}
	return err
}
