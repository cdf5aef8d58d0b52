package admin_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/keys"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/pubsub"
	"github.com/zmsg/zmsg/kv/internal/scalars"
)

// rig is an engine with clients by name.
type rig struct {
	t       *testing.T
	e       *engine.Engine
	clients map[string]*engine.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t, engine.New(engine.Defaults()), map[string]*engine.Client{}}
	for _, c := range [][]*engine.Command{admin.Commands, keys.Commands, scalars.Commands, lists.Commands, pubsub.Commands} {
		r.e.Register(c...)
	}
	t.Cleanup(r.e.Close)
	return r
}

func (r *rig) client(name string) *engine.Client {
	if r.clients[name] == nil {
		r.clients[name] = r.e.NewClient(engine.Front{Addr: name, LocalAddr: "server"})
	}
	return r.clients[name]
}

// do executes a command, written with spaces, and returns the reply with "|" for line breaks; a word of _
// is the empty string.
func (r *rig) do(name, command string) string {
	var args [][]byte
	for word := range strings.FieldsSeq(command) {
		if word == "_" {
			word = ""
		}
		args = append(args, []byte(word))
	}
	return strings.ReplaceAll(string(r.e.Do(r.client(name), args, nil)), "\r\n", "|")
}

// expect executes pairs of a command, with the client's name before a colon, and its reply; an empty
// command takes what has come out of turn.
func (r *rig) expect(steps ...string) {
	r.t.Helper()
	for i := 0; i+1 < len(steps); i += 2 {
		name, command, _ := strings.Cut(steps[i], ": ")
		var got string
		if command == "" {
			name = strings.TrimSuffix(name, ":")
			got = strings.ReplaceAll(string(r.e.Take(r.client(name), nil)), "\r\n", "|")
		} else {
			got = r.do(name, command)
		}
		if got != steps[i+1] {
			r.t.Fatalf("%s\n got %q\nwant %q", steps[i], got, steps[i+1])
		}
	}
}

// Clients read these fields to know what they talk to.
func TestInfo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect("a: set k 1", "+OK|", "a: set e 1 ex 100", "+OK|", "a: get k", "$1|1|", "a: get none", "$-1|", "b: blpop l 0", "")
	text := r.do("a", "info everything")
	for _, want := range []string{
		`run_id:[0-9a-f]{40}`, `redis_version:7\.0\.15`, `redis_mode:standalone`, `role:master`, `connected_slaves:0`,
		`master_replid:[0-9a-f]{40}`, `master_repl_offset:0`, `maxmemory:0`, `maxmemory_policy:noeviction`, `used_memory:[1-9]\d*`,
		`connected_clients:2`, `blocked_clients:1`, `keyspace_hits:1`, `keyspace_misses:1`, `loading:0`, `aof_enabled:0`,
		`rdb_bgsave_in_progress:0`, `cluster_enabled:0`, `db0:keys=2,expires=1,avg_ttl=\d+`, `process_id:[1-9]\d*`,
		`cmdstat_set:calls=2,.*failed_calls=0`, `total_commands_processed:[1-9]\d*`, `uptime_in_seconds:\d+`, `evicted_keys:0`, `expired_keys:0`,
	} {
		if !regexp.MustCompile(`\|` + want + `\|`).MatchString(text) {
			t.Errorf("INFO has no %s", want)
		}
	}
	for command, sections := range map[string]string{
		"info": "Server Clients Memory Persistence Stats Replication CPU Cluster Keyspace", "info server keyspace": "Server Keyspace",
		"info SERVER": "Server", "info nosuch": "", "info commandstats": "Commandstats",
	} {
		var got []string
		for _, m := range regexp.MustCompile(`# (\w+)\|`).FindAllStringSubmatch(r.do("a", command), -1) {
			got = append(got, m[1])
		}
		if strings.Join(got, " ") != sections {
			t.Errorf("%s has %q", command, got)
		}
	}
	r.expect("a: config resetstat", "+OK|")
	if text := r.do("a", "info stats"); !strings.Contains(text, "keyspace_hits:0|") {
		t.Error("RESETSTAT has left the hits")
	}
}

func TestClientList(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect("a: client setname me", "+OK|", "a: client getname", "$2|me|", "b: subscribe c", "*3|$9|subscribe|$1|c|:1|",
		"c: blpop l 0", "", "d: multi", "+OK|", "d: ping", "+QUEUED|", "e: select 3", "+OK|")
	list := r.do("a", "client list")
	for _, want := range []string{
		`id=1 addr=a laddr=server fd=-?\d+ name=me age=\d+ idle=\d+ flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 .*cmd=client\|list user=default redir=-1 resp=2`,
		`id=2 addr=b .* flags=P db=0 sub=1 .*cmd=subscribe`, `id=3 addr=c .* flags=b .*cmd=blpop`, `id=4 addr=d .* flags=x .* multi=1`, `id=5 addr=e .* db=3 `,
	} {
		if !regexp.MustCompile(want).MatchString(list) {
			t.Errorf("%q does not have %s", list, want)
		}
	}
	for command, ids := range map[string]string{
		"client list type pubsub": "2", "client list type NORMAL": "1 3 4 5", "client list type replica": "", "client list id 2 5 99": "2 5", "client info": "1",
	} {
		var got []string
		for _, m := range regexp.MustCompile(`\bid=(\d+)`).FindAllStringSubmatch(r.do("a", command), -1) {
			got = append(got, m[1])
		}
		if strings.Join(got, " ") != ids {
			t.Errorf("%s lists %q", command, got)
		}
	}
	r.expect("a: client list type x", "-ERR Unknown client type 'x'|", "a: client list id x", "-ERR Invalid client ID|", "a: client list x", "-ERR syntax error|",
		"a: client setname _", "+OK|", "a: client getname", "$-1|")
}

func TestClientKill(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		r.expect(name+": ping", "+PONG|")
	}
	r.expect(
		"a: client kill nosuch", "-ERR No such client|", "a: client kill b", "+OK|", "a: client kill id 3", ":1|", "a: client kill id 3", ":0|",
		"d: subscribe c", "*3|$9|subscribe|$1|c|:1|", "a: client kill type pubsub", ":1|", "a: publish c x", ":0|",
		"a: client kill id x", "-ERR client-id should be greater than 0|", "a: client kill user nobody", "-ERR No such user 'nobody'|",
		"a: client kill id 5 addr x", ":0|", "a: client kill laddr server", ":1|", "a: client kill laddr server skipme no", ":1|",
	)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if !r.client(name).Closing() {
			t.Errorf("%s is still connected", name)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect(
		"a: config get maxmemory", "*2|$9|maxmemory|$1|0|", "a: config set maxmemory 10mb", "+OK|", "a: config get MAXmemory", "*2|$9|maxmemory|$8|10485760|",
		"a: config get nosuch", "*0|", "a: config get lfu-*", "*4|$14|lfu-decay-time|$1|1|$14|lfu-log-factor|$2|10|",
		// All or nothing.
		"a: config set maxmemory 5 maxmemory-policy nosuch",
		"-ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction|",
		"a: config set maxmemory 5 nosuch 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'|",
		"a: config set maxmemory 5 maxmemory 6", "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter|",
		"a: config set maxmemory 5 databases 6", "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config|",
		"a: config set maxmemory 5 appendonly yes", "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - this database keeps no files|",
		"a: config get maxmemory", "*2|$9|maxmemory|$8|10485760|",
		"a: config set proto-max-bulk-len 1", "-ERR CONFIG SET failed (possibly related to argument 'proto-max-bulk-len') - argument must be between 1048576 and 9223372036854775807 inclusive|",
		"a: config set maxmemory 5 timeout 7", "+OK|", "a: config get timeout", "*2|$7|timeout|$1|7|", "a: config get maxmemory", "*2|$9|maxmemory|$1|5|",
		"a: config rewrite", "-ERR The server is running without a config file|",
	)
}

func TestSettingsKeepTheirValues(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	words := strings.Split(r.do("a", "config get *"), "|")
	settings := 0
	for i := 2; i+2 < len(words); i += 4 {
		name, value := words[i], words[i+2]
		if value == "" {
			value = "_"
		}
		reply := string(r.e.Do(r.client("a"), [][]byte{[]byte("config"), []byte("set"), []byte(name), []byte(strings.ReplaceAll(value, "_", ""))}, nil))
		if reply != "+OK\r\n" && !strings.Contains(reply, "immutable") {
			t.Errorf("%s does not take its own value %q: %s", name, value, reply)
		}
		settings++
	}
	if after := strings.Split(r.do("a", "config get *"), "|"); settings < 40 || strings.Join(after, "|") != strings.Join(words, "|") {
		t.Errorf("%d settings; now %q, before %q", settings, after, words)
	}
}

func TestCommandCommand(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect(
		"a: command count", fmt.Sprintf(":%d|", len(r.e.Commands())),
		"a: command info get nosuch", "*2|*10|$3|get|:2|*2|+readonly|+fast|:1|:1|:1|*2|+@read|+@fast|*0|*0|*0|*-1|",
		"a: command getkeys set k 1", "*1|$1|k|", "a: command getkeys mset a 1 b 2", "*2|$1|a|$1|b|",
		"a: command getkeys lmpop 2 x y left", "*2|$1|x|$1|y|", "a: command getkeys ping x", "-ERR The command has no key arguments|",
		"a: command getkeys object encoding x", "*1|$1|x|", "a: command getkeys object nosuch x", "-ERR Invalid command specified|",
		"a: command getkeys nosuch x", "-ERR Invalid command specified|", "a: command getkeys set k", "-ERR Invalid number of arguments specified for command|",
		"a: command list filterby pattern incrb*", "*2|$6|incrby|$11|incrbyfloat|", "a: command nosuch", "-ERR unknown subcommand 'nosuch'. Try COMMAND HELP.|",
	)
	if got := r.do("a", "command docs get nosuch"); !strings.HasPrefix(got, "*2|$3|get|*") || !strings.Contains(got, "$7|summary|") {
		t.Errorf("COMMAND DOCS: %q", got)
	}
	if got := r.do("a", "command"); !strings.HasPrefix(got, fmt.Sprintf("*%d|*10|", len(r.e.Commands()))) {
		t.Errorf("COMMAND: %.100q", got)
	}
}

func TestHello(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect(
		"a: hello", "*14|$6|server|$5|redis|$7|version|$6|7.0.15|$5|proto|:2|$2|id|:1|$4|mode|$10|standalone|$4|role|$6|master|$7|modules|*0|",
		"a: hello 3 setname me", "%7|$6|server|$5|redis|$7|version|$6|7.0.15|$5|proto|:3|$2|id|:1|$4|mode|$10|standalone|$4|role|$6|master|$7|modules|*0|",
		"a: get none", "_|", "a: client getname", "$2|me|", "a: hello 4", "-NOPROTO unsupported protocol version|", "a: hello x", "-ERR Protocol version is not an integer or out of range|",
		"a: hello 2 setname", "-ERR Syntax error in HELLO option 'setname'|", "a: reset", "+RESET|", "a: get none", "$-1|",
		"a: config set requirepass pw", "+OK|", "b: hello 3 auth default no", "-WRONGPASS invalid username-password pair or user is disabled.|",
		"b: hello 3 auth other pw", "-WRONGPASS invalid username-password pair or user is disabled.|", "b: ping", "-NOAUTH Authentication required.|",
		"c: auth default pw", "+OK|", "c: ping", "+PONG|", "c: auth a b c", "-ERR syntax error|", "d: auth pw", "+OK|",
		"d: config set requirepass _", "+OK|",
		"d: auth pw", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?|",
		"b: ping", "+PONG|",
	)
	r.do("a", "config set requirepass pw")
	if got := r.do("e", "hello 3"); !strings.HasPrefix(got, "-NOAUTH HELLO must be called") {
		t.Errorf("HELLO of a stranger: %q", got)
	}
	if got := r.do("e", "hello 3 auth default pw"); !strings.HasPrefix(got, "%7|") {
		t.Errorf("HELLO with the password: %q", got)
	}
}

func TestMemoryUsage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.do("a", "set small 1")
	r.do("a", "set large "+strings.Repeat("x", 10000))
	size := func(key string) (n int) {
		if _, err := fmt.Sscanf(r.do("a", "memory usage "+key), ":%d|", &n); err != nil {
			t.Error(err)
		}
		return n
	}
	if small, large := size("small"), size("large samples 5"); small < 10 || small > 200 || large < 10000 || large > 13000 {
		t.Errorf("sizes %d, %d", small, large)
	}
	r.expect("a: memory usage none", "$-1|", "a: memory usage k samples x", "-ERR value is not an integer or out of range|", "a: memory usage k x", "-ERR syntax error|")
}

// slowLog is a Journal whose Sync waits.
type slowLog struct {
	asked chan int64
	done  chan struct{}
	end   int64
}

func (l *slowLog) Append(p []byte) int64 { l.end += int64(len(p)); return l.end }
func (*slowLog) Commit(int64) error      { return nil }
func (l *slowLog) Sync(upTo int64) error { l.asked <- upTo; <-l.done; return nil }
func (*slowLog) Err() error              { return nil }

func TestWaitAOF(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect("a: waitaof 1 0 0", "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.|", "a: waitaof 0 0 0", "*2|:0|:0|",
		"a: waitaof 2 0 0", "-ERR value is out of range|", "a: waitaof 1 -1 0", "-ERR value is out of range, must be positive|", "a: wait 0 0", ":0|")
	log := &slowLog{asked: make(chan int64), done: make(chan struct{})}
	r.e.Lock()
	r.e.SetJournal(log)
	r.e.Unlock()
	r.expect("a: set k 1", "+OK|", "a: client id", ":1|", "a: waitaof 1 0 0", "")
	if upTo := <-log.asked; upTo != log.end {
		t.Errorf("asked for %d of %d", upTo, log.end)
	}
	// The sync that comes late is not the answer to the next command that waits.
	r.expect("b: client unblock 1", ":1|", "a:", "*2|:0|:0|", "a: blpop l 0", "")
	log.done <- struct{}{}
	r.expect("c: waitaof 1 0 0", "")
	<-log.asked
	log.done <- struct{}{}
	deadline := time.After(20 * time.Second)
	for reply := ""; reply != "*2\r\n:1\r\n:0\r\n"; {
		reply = string(r.e.Take(r.client("c"), nil))
		select {
		case <-deadline:
			t.Fatal("WAITAOF never ends")
		default:
		}
	}
	r.expect("a:", "", "b: rpush l x", ":1|", "a:", "*2|$1|l|$1|x|")
}

// Redis's settings that mean nothing here can be set, and are told as they were set.
func TestUnusedSettings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect(
		"a: config get loglevel", "*2|$8|loglevel|$6|notice|",
		"a: config set hz 20 loglevel warning", "+OK|",
		"a: config get hz", "*2|$2|hz|$2|20|",
		"a: config set databases 3", "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config|",
	)
	c := engine.Defaults()
	for name, value := range map[string]string{"databases": "32", "io-threads": "2", "protected-mode": "no"} {
		if err := admin.Set(c, name, value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c.Databases != 32 {
		t.Errorf("there are %d databases", c.Databases)
	}
}

// MONITOR shows scripts, and no passwords.
func TestMonitorHidesPasswords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect("m: monitor", "+OK|")
	r.do("a", "hello 2 auth default secret")
	r.do("a", "auth secret")
	got := r.do("m", "ping")
	if strings.Contains(got, "secret") || !strings.Contains(got, `"auth" "(redacted)" "(redacted)"|`) || !strings.Contains(got, `"auth" "(redacted)"|`) {
		t.Errorf("%q", got)
	}
	r.expect("a: shutdown nosave save", "-ERR syntax error|", "a: readonly", "-ERR This instance has cluster support disabled|")
}
