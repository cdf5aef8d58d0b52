package pubsub_test

import (
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/pubsub"
)

func newEngine() *engine.Engine {
	e := engine.New(engine.Defaults())
	e.Register(admin.Commands...)
	e.Register(pubsub.Commands...)
	return e
}

func do(e *engine.Engine, c *engine.Client, line string) string {
	var args [][]byte
	for word := range strings.FieldsSeq(line) {
		args = append(args, []byte(word))
	}
	return string(e.Do(c, args, nil))
}

func TestMessagesReachWhoListens(t *testing.T) {
	t.Parallel()
	e := newEngine()
	woken := 0
	a := e.NewClient(engine.Front{Wake: func() { woken++ }})
	b := e.NewClient(engine.Front{})
	do(e, a, "HELLO 3")
	for _, step := range []struct {
		client     *engine.Client
		line, want string
	}{
		{a, "SUBSCRIBE news", ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"},
		{a, "PSUBSCRIBE n* z*", ">3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:2\r\n>3\r\n$10\r\npsubscribe\r\n$2\r\nz*\r\n:3\r\n"},
		{a, "SSUBSCRIBE s", ">3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n"},
		{b, "PUBLISH news hi", ":2\r\n"},
		{b, "SPUBLISH s hi", ":1\r\n"},
		{b, "PUBLISH s hi", ":0\r\n"},
		{b, "PUBSUB CHANNELS", "*1\r\n$4\r\nnews\r\n"},
		{b, "PUBSUB NUMSUB news x", "*4\r\n$4\r\nnews\r\n:1\r\n$1\r\nx\r\n:0\r\n"},
		{b, "PUBSUB NUMPAT", ":2\r\n"},
		{b, "PUBSUB SHARDCHANNELS s*", "*1\r\n$1\r\ns\r\n"},
		{b, "PUBSUB SHARDNUMSUB s", "*2\r\n$1\r\ns\r\n:1\r\n"},
	} {
		if got := do(e, step.client, step.line); got != step.want {
			t.Errorf("%s\n got %q\nwant %q", step.line, got, step.want)
		}
	}
	got := string(e.Take(a, nil))
	want := ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n" +
		">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$2\r\nhi\r\n" +
		">3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$2\r\nhi\r\n"
	if got != want || woken != 3 {
		t.Errorf("delivered %q, woken %d times\nwant      %q, 3 times", got, woken, want)
	}
	if got := do(e, a, "PUNSUBSCRIBE"); !strings.HasSuffix(got, ":1\r\n") {
		t.Errorf("PUNSUBSCRIBE: %q", got)
	}
	a.Close()
	if got := do(e, b, "PUBLISH news hi"); got != ":0\r\n" {
		t.Errorf("after its end: %q", got)
	}
	b.Close()
}

// A RESP2 connection that listens can do nothing else.
func TestListeningInRESP2(t *testing.T) {
	t.Parallel()
	e := newEngine()
	c := e.NewClient(engine.Front{})
	defer c.Close()
	if got := do(e, c, "UNSUBSCRIBE"); got != "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n" {
		t.Errorf("without a subscription: %q", got)
	}
	do(e, c, "SUBSCRIBE a b")
	if got := do(e, c, "ECHO x"); got != "-ERR Can't execute 'echo': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n" {
		t.Errorf("ECHO: %q", got)
	}
	if got := do(e, c, "PING"); got != "*2\r\n$4\r\npong\r\n$0\r\n\r\n" {
		t.Errorf("PING: %q", got)
	}
	if got := do(e, c, "UNSUBSCRIBE"); got != "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n" {
		t.Errorf("UNSUBSCRIBE: %q", got)
	}
	if got := do(e, c, "ECHO x"); got != "$1\r\nx\r\n" {
		t.Errorf("ECHO afterwards: %q", got)
	}
}
