package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
)

// growth sets one key and increments it twice, again and again, and tells how large the log becomes and how
// long a client waits at most, with and without rewrites of the log.
func growth(ctx context.Context, s settings) error {
	fmt.Printf("\nSET, INCR and INCR of one key, %d times over, the log at everysec, rewritten whenever it has doubled from 1 MB on\n\n", s.keys)
	fmt.Println("| server | rewrites | log at the end, KB | largest, KB | longest wait, ms | goal |")
	fmt.Println("|---|---|---|---|---|---|")
	for i := range names {
		plain, err := grow(ctx, s, i, "0")
		if err != nil {
			return err
		}
		rewritten, err := grow(ctx, s, i, "100")
		if err != nil {
			return err
		}
		fmt.Printf("| %s, no rewrites | %s |\n", names[i], plain)
		verdict := "within 50 ms of that without: reached"
		if rewritten.longest > plain.longest+50*time.Millisecond {
			verdict = "within 50 ms of that without: FALLS SHORT"
		}
		fmt.Printf("| %s | %s %s |\n", names[i], rewritten, verdict)
	}
	return nil
}

// grown is what became of one server.
type grown struct {
	rewrites, end, largest int64
	longest                time.Duration
}

func (g grown) String() string {
	return fmt.Sprintf("%d | %d | %d | %.1f |", g.rewrites, g.end>>10, g.largest>>10, float64(g.longest.Microseconds())/1000)
}

func grow(ctx context.Context, s settings, server int, percentage string) (g grown, err error) {
	r, err := startOne(ctx, s, server, testenv.RedisOptions{AppendOnly: true, Args: []string{
		"--appendfsync", "everysec", "--auto-aof-rewrite-percentage", percentage, "--auto-aof-rewrite-min-size", "1mb",
	}})
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", r.Addr())
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	in := bufio.NewReader(conn)
	var want int64
	for i := range int64(s.keys) {
		if i%10_000 == 0 {
			if ctx.Err() != nil {
				return g, ctx.Err()
			}
			size, err := field(ctx, r, "aof_current_size")
			if err != nil {
				return g, err
			}
			g.largest = max(g.largest, size)
		}
		want = i + 2
		began := time.Now()
		if err := thrice(conn, in, i, want); err != nil {
			return g, err
		}
		g.longest = max(g.longest, time.Since(began))
	}
	if g.rewrites, err = field(ctx, r, "aof_rewrites"); err != nil {
		return g, err
	}
	g.end, err = field(ctx, r, "aof_current_size")
	return g, err
}

// thrice sets the key to i, increments it twice, and checks that it is want then.
func thrice(conn net.Conn, in *bufio.Reader, i, want int64) error {
	value := strconv.FormatInt(i, 10)
	if _, err := fmt.Fprintf(conn, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n", len(value), value); err != nil {
		return err
	}
	reply := "+OK\r\n:" + strconv.FormatInt(want-1, 10) + "\r\n:" + strconv.FormatInt(want, 10) + "\r\n"
	got := make([]byte, len(reply))
	if _, err := io.ReadFull(in, got); err != nil {
		return err
	}
	if string(got) != reply {
		return fmt.Errorf("replied %q, not %q", got, reply)
	}
	return nil
}
