package kv

import (
	"fmt"
	"strconv"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/resp"
)

// call is what one call of the API uses: its client and its buffers, which are kept for the next.
type call struct {
	client *engine.Client
	args   [][]byte
	buf    []byte // of arguments that were not bytes
	out    []byte
}

// maxKept is how large a buffer is kept.
const maxKept = 64 << 10

func (db *DB) acquire() (*call, error) {
	if db.closed.Load() {
		return nil, ErrClosed
	}
	if c, ok := db.calls.Get().(*call); ok {
		return c, nil
	}
	db.engine.Lock()
	defer db.engine.Unlock()
	c := &call{client: db.engine.Internal()}
	c.client.SetProto(3)
	c.client.Select(db.space.Index())
	return c, nil
}

func (db *DB) release(c *call) {
	if cap(c.out) > maxKept {
		c.out = nil
	}
	if cap(c.buf) > maxKept {
		c.buf = nil
	}
	clear(c.args)
	db.calls.Put(c)
}

// do executes a command. Arguments are strings, byte slices, integers, floats and durations (as
// milliseconds). The reply is the caller's.
func (db *DB) do(name string, args ...any) (resp.Value, error) {
	c, err := db.acquire()
	if err != nil {
		return resp.Value{}, err
	}
	defer db.release(c)
	c.gather(name, args)
	out := db.engine.Do(c.client, c.args, nil)
	if err := db.commit(c); err != nil {
		return resp.Value{}, err
	}
	return parse(out)
}

func parse(out []byte) (resp.Value, error) {
	v, _, err := resp.Decode(out)
	if err != nil {
		return v, fmt.Errorf("kv: reply %q: %w", out, err)
	}
	if v.Kind == resp.Error {
		return v, replied(string(v.Str))
	}
	return v, nil
}

// gather encodes the arguments of a command.
func (c *call) gather(name string, args []any) {
	c.args = append(c.args[:0], []byte(name))
	for _, a := range args {
		switch x := a.(type) {
		case []byte:
			c.args = append(c.args, x)
		case string:
			c.args = append(c.args, []byte(x))
		case []string:
			for _, s := range x {
				c.args = append(c.args, []byte(s))
			}
		case [][]byte:
			c.args = append(c.args, x...)
		case int:
			c.args = append(c.args, strconv.AppendInt(nil, int64(x), 10))
		case int64:
			c.args = append(c.args, strconv.AppendInt(nil, x, 10))
		case uint64:
			c.args = append(c.args, strconv.AppendUint(nil, x, 10))
		case float64:
			c.args = append(c.args, strconv.AppendFloat(nil, x, 'g', -1, 64))
		case time.Duration:
			c.args = append(c.args, strconv.AppendInt(nil, milliseconds(x), 10))
		default:
			panic(fmt.Sprintf("kv: an argument of type %T", a)) // only this package calls
		}
	}
}

// milliseconds rounds up, so that what is to live for a moment does live.
func milliseconds(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// The following read a reply as what the command is known to return.

func (db *DB) doInt(name string, args ...any) (int64, error) {
	v, err := db.do(name, args...)
	return v.Int, err
}

func (db *DB) doBool(name string, args ...any) (bool, error) {
	v, err := db.do(name, args...)
	return v.Int == 1, err
}

// doBytes returns ErrNotFound for null.
func (db *DB) doBytes(name string, args ...any) ([]byte, error) {
	v, err := db.do(name, args...)
	if err != nil {
		return nil, err
	}
	if v.IsNull() {
		return nil, ErrNotFound
	}
	return v.Str, nil
}

// doFloat returns ErrNotFound for null.
func (db *DB) doFloat(name string, args ...any) (float64, error) {
	v, err := db.do(name, args...)
	switch {
	case err != nil:
		return 0, err
	case v.IsNull():
		return 0, ErrNotFound
	case v.Kind == resp.Double:
		return v.Double, nil
	}
	return strconv.ParseFloat(string(v.Str), 64)
}

func (db *DB) doList(name string, args ...any) ([][]byte, error) {
	v, err := db.do(name, args...)
	if err != nil {
		return nil, err
	}
	list := make([][]byte, len(v.Elems))
	for i, e := range v.Elems {
		list[i] = e.Str
	}
	return list, nil
}

func (db *DB) doStrings(name string, args ...any) ([]string, error) {
	v, err := db.do(name, args...)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(v.Elems))
	for i, e := range v.Elems {
		list[i] = e.Text()
	}
	return list, nil
}

func itoa(n int) []byte { return strconv.AppendInt(nil, int64(n), 10) }
