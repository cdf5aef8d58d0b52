package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A client that never sends the rest of its request costs itself the answer, and nobody else anything:
// the queue is drained, and what the replica held is given back.
func TestARequestThatExceedsTheGraceDoesNotCostTheDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := launch(t, w.env("ZMSG_SHUTDOWN_GRACE=300ms")...)
	node := nodeOf(t, p, newMinted())
	stuck := beginRequest(t, strings.TrimPrefix(p.URL, "http://"))
	lock, err := w.sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), "LOCK TABLE feeds IN SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	const writes = 20
	c := newClient(t)
	for i := range writes {
		c.must(t, http.StatusAccepted, http.MethodPost, p.URL+"/feeds?store=delayed", fmt.Sprintf(`{"author_id":"1","content":%d}`, i))
	}
	p.Terminate(t)
	eventually(t, 10*time.Second, "the grace is over", func() bool {
		return strings.Contains(p.logs.String(), `"msg":"requests were cut off"`)
	})
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t, 15*time.Second); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if n, err := stuck.Read(make([]byte, 1)); err == nil {
		t.Errorf("the request that was cut off got an answer of %d bytes or more", n)
	}
	if n := w.number(t, "SELECT count(*) FROM feeds"); n != writes {
		t.Errorf("%d rows of %d acknowledged items", n, writes)
	}
	if n := w.number(t, "SELECT count(*) FROM replicas"); n != 0 {
		t.Errorf("%d replicas are left", n)
	}
	w.checkNodeIsFree(t, node)
}

// beginRequest sends a request but for the end of its body, and returns when the server works on it.
func beginRequest(t *testing.T, addr string) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // nothing of it matters any more
	_, err = fmt.Fprintf(conn, "POST /feeds HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// The server asks for the body when the handler reads it.
	interim := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	for at := 0; at < len(interim); {
		n, err := conn.Read(interim[at:])
		if err != nil {
			t.Fatal(err)
		}
		at += n
	}
	if !strings.HasPrefix(string(interim), "HTTP/1.1 100") {
		t.Fatalf("the server says %q", interim)
	}
	return conn
}
