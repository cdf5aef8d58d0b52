package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/server"
)

func TestRedisTools(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		t := r.t
		_, port, _ := net.SplitHostPort(r.addr)
		run := func(input string, args ...string) string {
			cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
			cmd.Stdin = strings.NewReader(input)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v: %v: %s", args, err, out)
			}
			return string(out)
		}
		if got := run("", "redis-cli", "-p", port, "SET", "a b", "c d"); got != "OK\n" {
			t.Errorf("redis-cli: %q", got)
		}
		if got := run("GET \"a b\"\nGET none\n", "redis-cli", "-3", "-s", r.path); got != "c d\n\n" {
			t.Errorf("redis-cli: %q", got)
		}
		if got := run(strings.Repeat("INCR n\r\n", 30000), "redis-cli", "-p", port, "--pipe"); !strings.Contains(got, "errors: 0, replies: 30000") {
			t.Errorf("redis-cli --pipe: %q", got)
		}
		for _, args := range []string{"-n 2000 -c 50", "-n 10000 -P 100", "-n 500 -d 20000 -P 10", "-n 300 -k 0 -c 5"} {
			got := run("", strings.Fields("redis-benchmark -q -t set,get,incr,lpush,rpop -p "+port+" "+args)...)
			if strings.Contains(got, "rror") || strings.Count(got, "requests per second") != 5 {
				t.Errorf("redis-benchmark %s: %q", args, got)
			}
		}
	})
}

// What a client gets for anything but a good request is what Redis replies, to the byte.
func TestBadRequestsAsRedis(t *testing.T) {
	t.Parallel()
	socket := t.TempDir() + "/redis"
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	r := newRig(t, server.Options{}, nil)
	await(t, "redis-server listens", func() bool {
		conn, err := net.Dial("unix", socket) //nolint:noctx // it is there or it is not
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	ask := func(path, request string) string {
		p := r.dialTo("unix", path)
		p.send(request)
		if err := p.Conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(p)
		return string(got)
	}
	for _, request := range []string{
		"*x\r\n", "*\r\n", "* 1\r\n", "*+1\r\n", "*01\r\n", "*-1\r\nPING\r\n", "*0\r\nPING\r\n", "*-0\r\n", "*99999999999\r\n",
		"*9223372036854775808\r\n", "*18446744073709551617\r\n", "*1\r\nx\r\n", "*1\r\n\r\n", "*1\r\n:1\r\n", "*1\r\n$\r\n", "*1\r\n$-1\r\n", "*1\r\n$a\r\n",
		"*1\r\n$04\r\nPING\r\n", "*1\r\n$536870913\r\n", "*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", "*1\n$4\nPING\n", "*1\r\n$4\nPING\r\n",
		"\"PING\"\r\n", "'PING'\r\n", "PING \"\\x41\\n\\\"\"\r\n", "PING 'a\\'b'\r\n", "PING 'a\r\n", "PING \"a\"b\r\n", "PING \"\r\n", "PING a\"b c\"\r\n",
		"PING\x00\r\nPING\r\n", "PING a\tb\r\n", "PING \v\f a\r\n", "PING a\vb\r\n", "\r\n\n\r\nPING\n", "PING \"\"\r\n", "PING\r\r\n", " PING \r\n",
		strings.Repeat("x", 70000), "*" + strings.Repeat("1", 70000), "*1\r\n$" + strings.Repeat("1", 70000), "*1\r\n$0\r\n\r\n", "NOSUCH a b\r\n", "GET\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nPING\r\n", "Host: x\r\nPING\r\n", "PING\r\nhost: x\r\nPING\r\n",
	} {
		got, want := ask(r.path, request), ask(socket, request)
		if got != want {
			t.Errorf("%s: got %q, Redis has %q", fmt.Sprintf("%.60q", request), got, want)
		}
	}
}
