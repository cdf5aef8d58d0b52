package rdb

import (
	"fmt"
	"sort"
	"testing"

	"github.com/redis/go-redis/v9"
)

// describe returns what a server says of each of its keys, by database and key.
func describe(t *testing.T, c *redis.Client) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, db := range []int{0, 3} {
		do(t, c, "SELECT", db)
		keys, _ := do(t, c, "KEYS", "*").([]any)
		for _, k := range keys {
			name := fmt.Sprintf("%d/%s", db, k)
			all[name] = fmt.Sprintf("%v, expires at %v, %v: %v", do(t, c, "OBJECT", "ENCODING", k),
				do(t, c, "PEXPIRETIME", k), do(t, c, "TYPE", k), contents(t, c, k.(string)))
		}
	}
	do(t, c, "SELECT", 0)
	return all
}

// contents returns a key's value as text, where the order of sets and hashes is that of their elements.
func contents(t *testing.T, c *redis.Client, key string) string {
	t.Helper()
	switch kind := do(t, c, "TYPE", key); kind {
	case "string":
		return fmt.Sprintf("%q", do(t, c, "GET", key))
	case "list":
		return fmt.Sprintf("%q", do(t, c, "LRANGE", key, 0, -1))
	case "set":
		return fmt.Sprintf("%q", sorted(do(t, c, "SMEMBERS", key).([]any), 1))
	case "hash":
		return fmt.Sprintf("%q", sorted(do(t, c, "HGETALL", key).([]any), 2))
	case "zset":
		return fmt.Sprintf("%q", do(t, c, "ZRANGE", key, 0, -1, "WITHSCORES"))
	case "stream":
		return fmt.Sprintf("%q\n%q", do(t, c, "XRANGE", key, "-", "+"), do(t, c, "XINFO", "STREAM", key, "FULL", "COUNT", 0))
	default:
		t.Fatalf("type %v", kind)
		return ""
	}
}

// sorted returns groups of n elements as texts in order.
func sorted(list []any, n int) []string {
	texts := make([]string, 0, len(list)/n)
	for i := 0; i < len(list); i += n {
		texts = append(texts, fmt.Sprintf("%q", list[i:i+n]))
	}
	sort.Strings(texts)
	return texts
}

// same fails where two descriptions differ.
func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, w := range want {
		if g := got[name]; g != w {
			t.Errorf("%q:\n got %.1500s\nwant %.1500s", name, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q should not be there", name)
		}
	}
}
