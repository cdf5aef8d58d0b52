package difftest

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// plain are commands of all types whose replies have an order.
const plain = `
	10 SET key value [ EX ttl ]
	5 GET key
	5 INCR key
	5 APPEND key elem
	8 LPUSH|RPUSH key ( elem )+
	5 LPOP|RPOP key
	5 SADD|SREM key ( elem )+
	5 HSET key ( elem value )+
	3 HDEL key elem
	5 ZADD key ( score elem )+
	3 ZPOPMIN key
	3 XADD key newid elem value
	5 DEL key
	4 RENAME|COPY key key
	3 EXPIREAT key at
	2 EXPIREAT key past
	2 LLEN|SCARD|HLEN|ZCARD|STRLEN|XLEN key
	1 TYPE key
	1 SELECT db
	1 SWAPDB 0 1
	1 FLUSHDB|FLUSHALL
	1 PERSIST key
	1 MOVE key db
`

func TestTransactions(t *testing.T) {
	t.Parallel()
	severally(t, 3, func(*pair) {}, plain, `
	20 MULTI
	20 EXEC
	4 DISCARD
	15 WATCH ( key )+
	3 UNWATCH
	3 odd key
	1 BLPOP|BRPOP key 0
	1 BLMOVE key key LEFT RIGHT 0
	1 BZPOPMIN key 0
	1 XREAD BLOCK 0 STREAMS key '$'
	1 PING|ECHO elem
	1 RESET
	1 ! WAIT 0 0
	1 CLIENT GETNAME
	1 SUBSCRIBE elem ; UNSUBSCRIBE elem
	2 EVAL script 1 key elem
	1 OBJECT ENCODING key
	`)
}

func TestPublishing(t *testing.T) {
	t.Parallel()
	severally(t, 3, func(p *pair) {
		for _, l := range p.links[:1] {
			l.theirs.mustSend(p.t, "CONFIG", "SET", "notify-keyspace-events", "KEA")
			p.execute(l, []string{"CONFIG", "SET", "notify-keyspace-events", "KEA"})
		}
	}, `
	20 SUBSCRIBE ( channel )+
	20 PSUBSCRIBE ( match )+
	10 SSUBSCRIBE ( channel )+
	5 UNSUBSCRIBE ( channel )*
	5 PUNSUBSCRIBE ( match )*
	5 SUNSUBSCRIBE ( channel )*
	60 PUBLISH channel value
	20 SPUBLISH channel value
	5 PUBSUB CHANNELS [ match ]
	5 PUBSUB SHARDCHANNELS [ match ]
	5 PUBSUB NUMSUB|SHARDNUMSUB ( channel )*
	5 PUBSUB NUMPAT
	1 PUBSUB odd|HELP
	5 PING [ elem ]
	2 GET key
	2 RESET ; HELLO 3
	2 HELLO 2|3
	3 MULTI ; SUBSCRIBE channel ; SPUBLISH channel elem ; UNSUBSCRIBE channel ; EXEC
	5 SET key value
	5 DEL key
	`)
}

func TestBlocking(t *testing.T) {
	t.Parallel()
	severally(t, 5, func(*pair) {}, `
	10 BLPOP|BRPOP ( key )+ 0
	10 BLMOVE key key LEFT|RIGHT LEFT|RIGHT 0
	4 BRPOPLPUSH key key 0
	5 BLMPOP 0 2 key key LEFT|RIGHT [ COUNT count ]
	10 BZPOPMIN|BZPOPMAX ( key )+ 0
	5 BZMPOP 0 2 key key MIN|MAX [ COUNT count ]
	10 XREAD BLOCK 0 STREAMS key key '$' '$'|id
	8 XREADGROUP GROUP 'g1'|'g2' name BLOCK 0 STREAMS key '>'
	3 XGROUP CREATE key 'g1'|'g2' '$' MKSTREAM
	1 XGROUP DESTROY key 'g1'|'g2'
	1 BLPOP|BRPOP|BZPOPMIN key 0.1
	2 BLPOP|BRPOP|BZPOPMAX key odd
	20 LPUSH|RPUSH key ( elem )+
	20 ZADD key ( index elem )+
	10 XADD key newid elem value
	4 LMOVE key key LEFT|RIGHT LEFT|RIGHT
	2 LINSERT key BEFORE elem elem
	10 DEL key
	5 RENAME|COPY key key
	5 SET key value
	2 DEL 'k3' ; SORT key ALPHA STORE 'k3'
	3 DEL 'k3' ; ZUNIONSTORE 'k3' 2 key key
	3 MULTI ; LPUSH key elem ; LPUSH key elem ; LPOP key ; ZADD key index elem ; EXEC
	3 MULTI ; LPUSH key elem ; DEL same ; EXEC
	3 MULTI ; LPUSH key elem ; DEL same ; ZADD same index elem ; EXEC
	2 MULTI ; BLPOP key 0 ; BZPOPMIN key 0 ; EXEC
	2 EVAL pushing 2 key key
	1 EXPIREAT key past
	1 FLUSHALL
	1 MOVE key 1
	`)
}

// TestEvents compares the keyspace events of commands of all types.
func TestEvents(t *testing.T) {
	t.Parallel()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			p := newPair(t, proto, 2)
			g := newGrammar(rand.New(rand.NewPCG(uint64(*seedFlag), uint64(proto))), plain, sortedSets, events)
			for p.ran < *commandsFlag/2 {
				if !p.step(0, []string{"CONFIG", "SET", "notify-keyspace-events", "KEAn"}) || !p.step(1, []string{"PSUBSCRIBE", "__key*"}) {
					continue
				}
				for range 10 {
					commands := g.next()
					for len(commands) < 6 {
						commands = append(commands, g.next()...)
					}
					if !p.batch(append(commands, []string{"SELECT", "0"})) || !p.drain(1) {
						break
					}
				}
			}
		})
	}
}

const events = `
	3 SETRANGE key 1 elem
	2 SETBIT key offset 1
	2 GETSET|SETNX key value
	2 GETDEL key
	3 GETEX key { [PERSIST] [EX ttl] }
	2 MSET|MSETNX ( key value )+
	3 INCRBYFLOAT key float
	2 BITOP AND|NOT key key
	3 BITFIELD key SET 'u8' 0 1
	2 PFADD key elem
	2 PFMERGE key key
	3 LPUSHX|RPUSHX key elem
	3 LSET key index elem
	3 LINSERT key BEFORE elem elem
	3 LREM key 0 elem
	3 LTRIM key index index
	3 RPOPLPUSH key key
	3 LMOVE key key LEFT RIGHT
	3 LMPOP 2 key key LEFT
	3 LPOP key 2
	3 SMOVE key key elem
	3 SPOP key ; DEL same
	3 SINTERSTORE|SUNIONSTORE|SDIFFSTORE key key key
	3 HSETNX key elem value
	3 HINCRBY key elem 1
	3 HINCRBYFLOAT key elem 1
	3 UNLINK ( key )+
	3 RENAMENX key key
	3 PEXPIRE|PEXPIREAT|EXPIRE key 100000000000
	2 SETEX|PSETEX key 100000 value
	3 DEL key ; RPUSH same elem elem ; SORT same ALPHA STORE key
	3 XADD key MAXLEN 1 newid elem value
	3 XDEL key id
	3 XTRIM key MAXLEN 1
	3 XSETID key id
	3 XGROUP CREATE key group '$' [MKSTREAM]
	3 XGROUP SETID|DESTROY key group 0
	3 XGROUP CREATECONSUMER|DELCONSUMER key group name
	3 XREADGROUP GROUP group name STREAMS key '>'
	3 XCLAIM key group name 0 id
	3 XAUTOCLAIM key group name 0 0
	3 GEOADD key lon lat elem
	3 GEOSEARCHSTORE key key FROMLONLAT 11 11 BYRADIUS 2000 KM ASC
	3 EVAL script 1 key elem
	3 RESTORE key 0 dump REPLACE
	2 MGET|EXISTS|TOUCH|LLEN|HGETALL|SMISMEMBER key key
`

func TestScripts(t *testing.T) {
	t.Parallel()
	suite(t, plain, `
	60 EVAL script 2 key key elem value
	20 EVAL script 1 key value
	20 EVAL_RO script 2 key key elem value
	20 EVALSHA sha 2 key key elem value
	10 EVALSHA_RO sha 2 key key elem value
	10 SCRIPT LOAD script
	10 SCRIPT EXISTS ( sha )+
	1 SCRIPT FLUSH [SYNC|ASYNC|odd]
	1 SCRIPT KILL|HELP|odd
	5 EVAL script odd key key elem
	2 MULTI ; EVAL script 1 key elem ; EVALSHA sha 2 key key elem elem ; EXEC
	`)
}

func TestConnections(t *testing.T) {
	t.Parallel()
	suite(t, plain, `
	5 PING [ elem ]
	5 ECHO value
	5 HELLO [2|3] [ SETNAME elem ]
	2 HELLO odd { [ SETNAME value ] [ AUTH elem elem ] }
	2 HELLO 3 AUTH 'default' elem
	2 AUTH elem [ elem ]
	5 CLIENT SETNAME value
	5 CLIENT GETNAME
	2 CLIENT ID
	2 CLIENT NO-EVICT ON|OFF|odd
	2 CLIENT UNBLOCK 999999 [TIMEOUT|ERROR|odd]
	1 CLIENT UNPAUSE|GETREDIR|HELP|odd
	1 CLIENT LIST ID 999999
	1 CLIENT LIST TYPE odd
	1 CLIENT KILL ID 999999
	1 CLIENT KILL odd
	1 CLIENT KILL odd odd
	5 SELECT db
	5 SWAPDB db db
	5 DBSIZE
	2 TIME
	1 LASTSAVE
	1 ROLE
	2 ! WAIT 0 0
	10 CONFIG GET setting
	5 CONFIG GET setting setting
	10 CONFIG SET knob odd
	2 CONFIG SET knob odd knob odd
	2 CONFIG GET|SET|odd
	1 CONFIG RESETSTAT|REWRITE|HELP
	5 COMMAND GETKEYS SET|GET|INCR|GETEX key value
	5 COMMAND GETKEYS MSET ( key value )+
	5 COMMAND GETKEYS ZUNIONSTORE key 2 key key
	5 COMMAND GETKEYS ZUNION|LMPOP|BLMPOP 2 key key LEFT
	5 COMMAND GETKEYS EVAL elem count key key
	5 COMMAND GETKEYS XREAD STREAMS key key 0 0
	5 COMMAND GETKEYS XREADGROUP GROUP 'g' 'c' STREAMS key key 0 0
	5 COMMAND GETKEYS SORT key STORE key
	5 COMMAND GETKEYS PING|odd
	2 COMMAND LIST FILTERBY PATTERN 'x*'
	1 COMMAND LIST FILTERBY odd odd
	1 COMMAND HELP|odd
	3 RESET
	4 odd ( odd )*
	2 OBJECT|MEMORY|SCRIPT|PUBSUB|XINFO|XGROUP|CLIENT|CONFIG|COMMAND|DEBUG [ odd ]
	1 MEMORY USAGE nokey
	1 DEBUG SET-ACTIVE-EXPIRE 0
	1 DEBUG SLEEP 0
	1 DEBUG odd
	1 EXEC
	1 DISCARD
	2 MULTI ; CONFIG SET knob odd ; CLIENT SETNAME elem ; CONFIG GET setting ; SELECT db ; EXEC
	1 FLUSHALL|FLUSHDB odd
	1 SAVE|BGREWRITEAOF elem
	`)
}

// TestEveryScript runs each script of the collection on keys of each type.
func TestEveryScript(t *testing.T) {
	t.Parallel()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			p := newPair(t, proto, 1)
			for i, script := range scripts {
				script = strings.ReplaceAll(script, `\nreturn`, "\nreturn")
				prepare := [][]string{{"DEL", "k1", "k2"}, {"SET", "k2", "7"}}
				if i%2 == 0 {
					prepare = append(prepare, []string{"ZADD", "k1", "1", "a"})
				}
				for _, command := range []string{"EVAL", "EVAL_RO"} {
					p.batch(append(prepare, []string{command, script, "2", "k1", "k2", "a1", "a2"}))
				}
				p.batch([][]string{{"EVAL", script, "0"}, {"EVAL", script, "1", "k2", "1.5"}})
			}
		})
	}
}
