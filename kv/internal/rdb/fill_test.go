package rdb

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// random is text that cannot be compressed, the same in every run.
func random(n int) string {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// corners are strings of every encoding.
func corners() []string {
	all := []string{"", "-", "-0", "007", "+1", "1.5", "text", "\x00\xff\r\n", random(40), random(70_000), strings.Repeat("abc", 30_000), strings.Repeat("z", 21)}
	for _, n := range []int64{0, 1, 12, 13, 63, 64, 127, 128, 255, 4095, 4096, 32767, 32768, 8388607, 8388608, 1<<31 - 1, 1 << 31, 1<<63 - 1} {
		all = append(all, fmt.Sprint(n), fmt.Sprint(-n), fmt.Sprint(-n-1))
	}
	for _, n := range []int{20, 21, 44, 45, 63, 64, 65, 4095, 4096, 16383, 16384} {
		all = append(all, random(n))
	}
	return all
}

// fill gives a server keys of every type and encoding.
func fill(t *testing.T, c *redis.Client) {
	t.Helper()
	fillStrings(t, c)
	fillLists(t, c)
	fillSets(t, c)
	fillHashes(t, c)
	fillZSets(t, c)
	fillStreams(t, c)
	do(t, c, "SELECT", 3)
	do(t, c, "SET", "elsewhere", "3")
	do(t, c, "SELECT", 0)
}

func fillStrings(t *testing.T, c *redis.Client) {
	t.Helper()
	for i, v := range corners() {
		do(t, c, "SET", fmt.Sprintf("string:%d", i), v)
		do(t, c, "SET", "named:"+v, i)
	}
	do(t, c, "SET", "raw", "abc")
	do(t, c, "APPEND", "raw", "def")
	do(t, c, "SET", "ttl", "x", "PXAT", time.Now().Add(time.Hour).UnixMilli())
	do(t, c, "SET", "far", "x", "PXAT", 1<<50)
	do(t, c, "SETBIT", "bits", 10000, 1)
	do(t, c, "PFADD", "hll", "a", "b", "c")
}

func fillLists(t *testing.T, c *redis.Client) {
	t.Helper()
	for i, v := range corners() {
		do(t, c, "RPUSH", "list:small", i)
		do(t, c, "RPUSH", "list:corners", v)
	}
	for begin := 0; begin < 3000; begin += 100 {
		args := []any{"RPUSH", "list:big"}
		for i := begin; i < begin+100; i++ {
			args = append(args, element(i))
		}
		do(t, c, args...)
	}
	do(t, c, "RPUSH", "list:plain", random(10_000), "between", random(9_000))
	expire(t, c, "list:small")
}

// element is the text of element i of a big collection.
func element(i int) string { return fmt.Sprintf("element %d %s", i, strings.Repeat("x", i%50)) }

func expire(t *testing.T, c *redis.Client, key string) {
	t.Helper()
	do(t, c, "PEXPIREAT", key, time.Now().Add(time.Hour).UnixMilli())
}

func fillSets(t *testing.T, c *redis.Client) {
	t.Helper()
	for _, v := range corners() {
		do(t, c, "SADD", "set:corners", v)
	}
	for i := range 1000 {
		do(t, c, "SADD", "set:big", element(i))
		do(t, c, "SADD", "set:manyints", i*7-900)
	}
	do(t, c, "SADD", "set:int16", 3, -4, 70)
	do(t, c, "SADD", "set:int32", 3, -4, 70_000)
	do(t, c, "SADD", "set:int64", 3, -4, 1<<40)
	do(t, c, "SADD", "set:words", "a", "b")
	expire(t, c, "set:int16")
}

func fillHashes(t *testing.T, c *redis.Client) {
	t.Helper()
	all := corners()
	for i, v := range all {
		do(t, c, "HSET", "hash:corners", v, all[len(all)-1-i])
		if len(v) <= 64 {
			do(t, c, "HSET", "hash:small", v, i)
		}
	}
	for i := range 1000 {
		do(t, c, "HSET", "hash:big", element(i), i*i)
	}
	expire(t, c, "hash:big")
}

func fillZSets(t *testing.T, c *redis.Client) {
	t.Helper()
	for i, v := range corners() {
		do(t, c, "ZADD", "zset:corners", float64(i)/3, v)
		if len(v) <= 64 {
			do(t, c, "ZADD", "zset:small", i-20, v)
		}
	}
	for i, score := range []string{"inf", "-inf", "-0", "1e300", "-1e-300", "0.1", "3", "-4096", "17179869184", "9007199254740993"} {
		do(t, c, "ZADD", "zset:scores", score, i)
	}
	for i := range 1000 {
		do(t, c, "ZADD", "zset:big", float64(i%77)*1.5, element(i))
	}
	expire(t, c, "zset:small")
}

func fillStreams(t *testing.T, c *redis.Client) {
	t.Helper()
	for i := range 1000 {
		args := []any{"XADD", "stream:big", fmt.Sprintf("%d-%d", 1000+i/10, i%10+1), "field", i, "other", random(i % 60)}
		if i%7 == 0 {
			args = append(args, "more", -i)
		}
		do(t, c, args...)
	}
	for i := 0; i < 1000; i += 9 {
		do(t, c, "XDEL", "stream:big", fmt.Sprintf("%d-%d", 1000+i/10, i%10+1))
	}
	do(t, c, "XTRIM", "stream:big", "MAXLEN", 700)
	do(t, c, "XADD", "stream:empty", "18446744073709551615-18446744073709551614", "a", "b")
	do(t, c, "XDEL", "stream:empty", "18446744073709551615-18446744073709551614")
	do(t, c, "XGROUP", "CREATE", "stream:made", "nobody", "$", "MKSTREAM")
	do(t, c, "XGROUP", "CREATE", "stream:big", "g1", "0")
	do(t, c, "XGROUP", "CREATE", "stream:big", "g2", "1050-3")
	do(t, c, "XGROUP", "CREATE", "stream:big", "g3", "$", "ENTRIESREAD", "5")
	do(t, c, "XGROUP", "CREATECONSUMER", "stream:big", "g2", "idle")
	for i, who := range []string{"alice", "bob", "carol"} {
		do(t, c, "XREADGROUP", "GROUP", "g1", who, "COUNT", 20+i, "STREAMS", "stream:big", ">")
	}
	do(t, c, "XREADGROUP", "GROUP", "g2", "bob", "COUNT", 3, "STREAMS", "stream:big", ">")
	do(t, c, "XAUTOCLAIM", "stream:big", "g1", "dave", 0, "0", "COUNT", 5)
	pending, _ := do(t, c, "XPENDING", "stream:big", "g1", "-", "+", 60).([]any)
	for i, p := range pending {
		if id := p.([]any)[0]; i%4 == 0 {
			do(t, c, "XACK", "stream:big", "g1", id)
		} else if i%11 == 0 {
			do(t, c, "XDEL", "stream:big", id) // pending, and deleted
		}
	}
	do(t, c, "XSETID", "stream:big", "5000-1", "ENTRIESADDED", 1234, "MAXDELETEDID", "1200-1")
}
