package server_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/server"
)

//nolint:paralleltest // allocations are counted in the whole process
func TestSteadyRequestsAllocateNothing(t *testing.T) {
	r := newRig(t, server.Options{Spin: -1}, nil)
	p := r.dial()
	p.send("SET key value\r\n")
	p.expect("+OK\r\n")
	request := []byte(strings.Repeat("*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n", 8))
	reply := make([]byte, 8*len("$5\r\nvalue\r\n+OK\r\n"))
	allocs := testing.AllocsPerRun(1000, func() {
		_, _ = p.Write(request)
		_, _ = io.ReadFull(p, reply)
	})
	if allocs >= 1 {
		t.Errorf("%v allocations for 16 requests", allocs)
	}
}

// BenchmarkRequests is with one client, in the same process.
func BenchmarkRequests(b *testing.B) {
	for name, portable := range map[string]bool{"poller": false, "portable": true} {
		for _, pipeline := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("%s/%d", name, pipeline), func(b *testing.B) {
				r := newRig(b, server.Options{Portable: portable}, nil)
				p := r.dial()
				_ = p.SetDeadline(time.Time{})
				p.send("SET key value\r\n")
				p.expect("+OK\r\n")
				request := []byte(strings.Repeat("*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", pipeline))
				reply := make([]byte, pipeline*len("$5\r\nvalue\r\n"))
				b.ReportAllocs()
				for b.Loop() {
					_, _ = p.Write(request)
					if _, err := io.ReadFull(p, reply); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*pipeline), "ns/request")
			})
		}
	}
}

func BenchmarkGoRedis(b *testing.B) {
	for name, portable := range map[string]bool{"poller": false, "portable": true} {
		b.Run(name, func(b *testing.B) {
			c := newRig(b, server.Options{Portable: portable}, nil).redis()
			ctx := b.Context()
			c.Set(ctx, "key", strings.Repeat("v", 100), 0)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Get(ctx, "key").Err(); err != nil {
					b.Fatal(err)
				}
			}
			_ = c.Close()
		})
	}
}
