package zsets_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestAgainstRedis(t *testing.T) {
	t.Parallel()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			g := generator{rand.New(rand.NewPCG(7, uint64(proto)))}
			compare(t, proto, sortScan, g.zset)
		})
	}
}

// sortScan sorts the lines of what ZSCAN replies: its order is that of a hash table.
func sortScan(command []string, reply string) string {
	if command[0] != "ZSCAN" {
		return reply
	}
	lines := strings.Split(reply, "\r\n")
	slices.Sort(lines)
	return strings.Join(lines, "|")
}

func TestPlacesAgainstRedis(t *testing.T) {
	t.Parallel()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			g := generator{rand.New(rand.NewPCG(8, uint64(proto)))}
			compare(t, proto, roundDistances, g.place)
		})
	}
}

// roundDistances rounds what STOREDIST has stored: the last digit depends on the C library's sine.
func roundDistances(command []string, reply string) string {
	if command[0] != "ZRANGE" || command[1] != "dest" {
		return reply
	}
	lines := strings.Split(reply, "\r\n")
	for i, line := range lines {
		text := strings.TrimPrefix(line, ",")
		if f, err := strconv.ParseFloat(text, 64); err == nil && strings.Contains(text, ".") {
			lines[i] = strconv.FormatFloat(f, 'g', 12, 64)
			if i > 0 && lines[i-1][:1] == "$" {
				lines[i-1] = "$"
			}
		}
	}
	return strings.Join(lines, "|")
}
