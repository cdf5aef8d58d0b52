package pubsub_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/oracle"
	"github.com/zmsg/zmsg/kv/internal/pubsub"
)

// Of each command one reply is compared, and the order of what is kept in Redis's hash tables is not.
const dialogue = `
	PUBSUB NUMSUB
	PUBSUB NUMSUB a b a
	PUBSUB NUMPAT
	PUBSUB NUMPAT x
	PUBSUB CHANNELS
	PUBSUB CHANNELS a* b*
	PUBSUB SHARDCHANNELS x
	PUBSUB SHARDNUMSUB x y
	PUBSUB HELP
	PUBSUB nonsense
	PUBSUB
	PUBLISH a b
	PUBLISH a
	SPUBLISH a b
	UNSUBSCRIBE
	PUNSUBSCRIBE
	SUNSUBSCRIBE
	UNSUBSCRIBE a
	SUBSCRIBE a
	SUBSCRIBE a
	PSUBSCRIBE a*
	SSUBSCRIBE a
	PUBSUB CHANNELS a*
	PUBSUB SHARDCHANNELS
	PUBSUB NUMSUB a m
	PING
	PING x
	PUBLISH x y
	NONSENSE
	UNSUBSCRIBE m
	PUNSUBSCRIBE nothing
	UNSUBSCRIBE
	PUNSUBSCRIBE
	SUNSUBSCRIBE
	PING
	PUBLISH a b`

func TestAgainstRedis(t *testing.T) {
	t.Parallel()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			r, s := oracle.Start(t), oracle.NewSubject(t, pubsub.Commands, admin.Commands)
			if proto == 3 {
				r.Do(oracle.Words("HELLO 3"))
				s.Do(oracle.Words("HELLO 3"))
			}
			for line := range strings.Lines(strings.TrimSpace(dialogue)) {
				oracle.Compare(t, r, s, oracle.Words(line))
			}
			oracle.CompareTable(t, r, plain())
		})
	}
}

// plain are the commands that have no subcommands.
func plain() (list []*engine.Command) {
	for _, c := range pubsub.Commands {
		if c.Sub == nil {
			list = append(list, c)
		}
	}
	return list
}

func TestListeningInTransactions(t *testing.T) {
	t.Parallel()
	r, s := oracle.Start(t), oracle.NewSubject(t, pubsub.Commands, admin.Commands)
	for _, line := range []string{"MULTI", "SUBSCRIBE a", "SSUBSCRIBE a", "PSUBSCRIBE a*", "PUBSUB NUMPAT", "EXEC", "PING"} {
		oracle.Compare(t, r, s, oracle.Words(line))
	}
}
