package admin

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/glob"
)

var configSubs = map[string]*engine.Command{
	"get":       {Name: "get", Arity: -3, Flags: always | engine.NoScript | engine.Admin, Run: configGet},
	"set":       {Name: "set", Arity: -4, Flags: always | engine.NoScript | engine.Admin, Run: configSet},
	"resetstat": {Name: "resetstat", Arity: 2, Flags: always | engine.NoScript | engine.Admin, Run: configResetStat},
	"rewrite":   {Name: "rewrite", Arity: 2, Flags: always | engine.NoScript | engine.Admin, Run: configRewrite},
	"help": {Name: "help", Arity: 2, Flags: always, Run: help("CONFIG",
		"GET <pattern>", "    Return parameters matching the glob-like <pattern> and their values.",
		"SET <directive> <value>", "    Set the configuration <directive> to <value>.",
		"RESETSTAT", "    Reset statistics reported by the INFO command.",
		"REWRITE", "    Rewrite the configuration file.")},
}

// param is one setting by its Redis name.
type param struct {
	name string
	get  func(*engine.Config) string
	// set parses and stores; its error is shown to the client. nil means that the setting is fixed at start.
	set func(*engine.Config, string) error
	// start is set for those that are fixed then.
	start func(*engine.Config, string) error
}

type integer interface{ ~int | ~int64 }

func number[T integer](name string, low, high int64, field func(*engine.Config) *T) param {
	return param{
		name: name,
		get:  func(c *engine.Config) string { return strconv.FormatInt(int64(*field(c)), 10) },
		set: func(c *engine.Config, s string) error {
			n, ok := engine.ParseInt([]byte(s))
			if !ok {
				return fmt.Errorf("argument couldn't be parsed into an integer")
			}
			if n < low || n > high {
				return fmt.Errorf("argument must be between %d and %d inclusive", low, high)
			}
			*field(c) = T(n)
			return nil
		},
	}
}

func memory[T integer](name string, field func(*engine.Config) *T) param {
	p := number(name, 0, math.MaxInt64, field)
	p.set = func(c *engine.Config, s string) error {
		n, ok := ParseMemory(s)
		if !ok {
			if s != "" && strings.Trim(s, "0123456789") == "" {
				return fmt.Errorf("argument must be between 0 and %d inclusive", int64(math.MaxInt64))
			}
			return fmt.Errorf("argument must be a memory value")
		}
		*field(c) = T(n)
		return nil
	}
	return p
}

// atLeast gives a setting that memory has made a lower bound.
func atLeast(low int64, p param) param {
	set := p.set
	p.set = func(c *engine.Config, s string) error {
		if n, ok := ParseMemory(s); ok && n < low {
			return fmt.Errorf("argument must be between %d and %d inclusive", low, int64(math.MaxInt64))
		}
		return set(c, s)
	}
	return p
}

// ParseMemory reads a size as the configuration has it: "100", "10kb", "1gb" (of 1,024), "10k" (of 1,000).
func ParseMemory(s string) (int64, bool) {
	lower := strings.ToLower(s)
	digits := strings.TrimRight(lower, "bkmg")
	unit, known := map[string]int64{
		"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 1000 * 1000, "mb": 1 << 20, "g": 1000 * 1000 * 1000, "gb": 1 << 30,
	}[lower[len(digits):]]
	if digits == "" {
		return 0, known
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if !known || err != nil || digits[0] == '-' || digits[0] == '+' || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

func seconds(name string, field func(*engine.Config) *time.Duration, unit time.Duration) param {
	return param{
		name: name,
		get:  func(c *engine.Config) string { return strconv.FormatInt(int64(*field(c)/unit), 10) },
		set: func(c *engine.Config, s string) error {
			n, err := strconv.ParseInt(s, 10, 32)
			if err != nil || n < 0 {
				return fmt.Errorf("argument couldn't be parsed into an integer")
			}
			*field(c) = time.Duration(n) * unit
			return nil
		},
	}
}

// microseconds is for a duration, or none at -1.
func microseconds(name string, field func(*engine.Config) *time.Duration) param {
	return param{
		name: name,
		get:  func(c *engine.Config) string { return strconv.FormatInt(int64(*field(c)/time.Microsecond), 10) },
		set: func(c *engine.Config, s string) error {
			var n int64
			if err := number(name, -1, anySize, func(*engine.Config) *int64 { return &n }).set(c, s); err != nil {
				return err
			}
			*field(c) = time.Duration(min(n, math.MaxInt64/1000)) * time.Microsecond
			return nil
		},
	}
}

func yesNo(name string, field func(*engine.Config) *bool) param {
	return param{
		name: name,
		get: func(c *engine.Config) string {
			if *field(c) {
				return "yes"
			}
			return "no"
		},
		set: func(c *engine.Config, s string) error {
			switch strings.ToLower(s) {
			case "yes":
				*field(c) = true
			case "no":
				*field(c) = false
			default:
				return fmt.Errorf("argument must be 'yes' or 'no'")
			}
			return nil
		},
	}
}

func text(name string, field func(*engine.Config) *string) param {
	return param{
		name: name,
		get:  func(c *engine.Config) string { return *field(c) },
		set:  func(c *engine.Config, s string) error { *field(c) = s; return nil },
	}
}

func fixed(p param) param {
	p.set, p.start = nil, p.set
	return p
}

// unused are settings of Redis that mean nothing here, with its defaults: a command line or a tool that sets
// them works. They keep what is set.
var unused = map[string]string{
	"acl-pubsub-default": "resetchannels", "active-expire-effort": "1", "activedefrag": "no", "activerehashing": "yes",
	"aof-rewrite-incremental-fsync": "yes", "aof-use-rdb-preamble": "yes", "daemonize": "no", "dynamic-hz": "yes", "hz": "10",
	"io-threads": "1", "io-threads-do-reads": "no", "jemalloc-bg-thread": "yes", "latency-monitor-threshold": "0",
	"latency-tracking": "yes", "lazyfree-lazy-eviction": "no", "lazyfree-lazy-expire": "no", "lazyfree-lazy-server-del": "no",
	"lazyfree-lazy-user-del": "no", "lazyfree-lazy-user-flush": "no", "logfile": "", "loglevel": "notice",
	"maxmemory-eviction-tenacity": "10", "no-appendfsync-on-rewrite": "no", "pidfile": "", "protected-mode": "yes",
	"rdb-save-incremental-fsync": "yes", "repl-backlog-size": "1048576", "supervised": "no", "tcp-backlog": "511",
	"tracking-table-max-keys": "1000000",
}

func ignored(name, value string) param {
	return param{
		name: name,
		get: func(c *engine.Config) string {
			if v, ok := c.Ignored[name]; ok {
				return v
			}
			return value
		},
		set: func(c *engine.Config, s string) error {
			all := maps.Clone(c.Ignored) // the configuration before may still be needed
			if all == nil {
				all = map[string]string{}
			}
			all[name] = s
			c.Ignored = all
			return nil
		},
	}
}

func oneOf[T ~string](name string, field func(*engine.Config) *T, values ...T) param {
	return param{
		name: name,
		get:  func(c *engine.Config) string { return string(*field(c)) },
		set: func(c *engine.Config, s string) error {
			v := T(strings.ToLower(s))
			if !slices.Contains(values, v) {
				names := make([]string, len(values))
				for i, v := range values {
					names[i] = string(v)
				}
				return fmt.Errorf("argument(s) must be one of the following: %s", strings.Join(names, ", "))
			}
			*field(c) = v
			return nil
		},
	}
}

const anySize = math.MaxInt64

// params are the settings, by name. Those of Redis that mean nothing here are left out.
var params = func() []param {
	all := []param{
		fixed(number("databases", 1, 1<<20, func(c *engine.Config) *int { return &c.Databases })),
		text("requirepass", func(c *engine.Config) *string { return &c.RequirePass }),
		memory("maxmemory", func(c *engine.Config) *int64 { return &c.MaxMemory }),
		oneOf("maxmemory-policy", func(c *engine.Config) *engine.Policy { return &c.Policy }, engine.Policies...),
		number("maxmemory-samples", 1, math.MaxInt32, func(c *engine.Config) *int { return &c.MaxMemorySamples }),
		number("lfu-log-factor", 0, math.MaxInt32, func(c *engine.Config) *int { return &c.LFULogFactor }),
		number("lfu-decay-time", 0, math.MaxInt32, func(c *engine.Config) *int { return &c.LFUDecayTime }),
		number("maxclients", 1, 1<<31, func(c *engine.Config) *int { return &c.MaxClients }),
		seconds("timeout", func(c *engine.Config) *time.Duration { return &c.Timeout }, time.Second),
		seconds("tcp-keepalive", func(c *engine.Config) *time.Duration { return &c.KeepAlive }, time.Second),
		atLeast(1<<20, memory("client-query-buffer-limit", func(c *engine.Config) *int { return &c.QueryBufferLimit })),
		atLeast(1<<20, memory("proto-max-bulk-len", func(c *engine.Config) *int { return &c.ProtoMaxBulk })),
		{name: "notify-keyspace-events", get: func(c *engine.Config) string { return c.Notify.String() }, set: setNotify},
		number("hash-max-listpack-entries", 0, anySize, func(c *engine.Config) *int { return &c.HashMaxListpackEntries }),
		number("hash-max-ziplist-entries", 0, anySize, func(c *engine.Config) *int { return &c.HashMaxListpackEntries }),
		memory("hash-max-listpack-value", func(c *engine.Config) *int { return &c.HashMaxListpackValue }),
		memory("hash-max-ziplist-value", func(c *engine.Config) *int { return &c.HashMaxListpackValue }),
		number("zset-max-listpack-entries", 0, anySize, func(c *engine.Config) *int { return &c.ZSetMaxListpackEntries }),
		number("zset-max-ziplist-entries", 0, anySize, func(c *engine.Config) *int { return &c.ZSetMaxListpackEntries }),
		memory("zset-max-listpack-value", func(c *engine.Config) *int { return &c.ZSetMaxListpackValue }),
		memory("zset-max-ziplist-value", func(c *engine.Config) *int { return &c.ZSetMaxListpackValue }),
		number("set-max-intset-entries", 0, anySize, func(c *engine.Config) *int { return &c.SetMaxIntsetEntries }),
		number("list-max-listpack-size", -5, 1<<31, func(c *engine.Config) *int { return &c.ListMaxListpackSize }),
		number("list-max-ziplist-size", -5, 1<<31, func(c *engine.Config) *int { return &c.ListMaxListpackSize }),
		memory("stream-node-max-bytes", func(c *engine.Config) *int { return &c.StreamNodeMaxBytes }),
		number("stream-node-max-entries", 0, anySize, func(c *engine.Config) *int { return &c.StreamNodeMaxEntries }),
		memory("hll-sparse-max-bytes", func(c *engine.Config) *int { return &c.HLLSparseMaxBytes }),
		seconds("lua-time-limit", func(c *engine.Config) *time.Duration { return &c.ScriptTimeLimit }, time.Millisecond),
		seconds("busy-reply-threshold", func(c *engine.Config) *time.Duration { return &c.ScriptTimeLimit }, time.Millisecond),
		yesNo("appendonly", func(c *engine.Config) *bool { return &c.AppendOnly }),
		oneOf("appendfsync", func(c *engine.Config) *string { return &c.AppendFsync }, "everysec", "always", "no"),
		number("auto-aof-rewrite-percentage", 0, 1<<31, func(c *engine.Config) *int { return &c.RewritePercentage }),
		memory("auto-aof-rewrite-min-size", func(c *engine.Config) *int64 { return &c.RewriteMinSize }),
		yesNo("aof-load-truncated", func(c *engine.Config) *bool { return &c.LoadTruncated }),
		fixed(text("appenddirname", func(c *engine.Config) *string { return &c.AppendDirname })),
		fixed(text("appendfilename", func(c *engine.Config) *string { return &c.AppendFilename })),
		fixed(text("dir", func(c *engine.Config) *string { return &c.Dir })),
		fixed(text("dbfilename", func(c *engine.Config) *string { return &c.DBFilename })),
		yesNo("rdbcompression", func(c *engine.Config) *bool { return &c.RDBCompression }),
		fixed(yesNo("rdbchecksum", func(c *engine.Config) *bool { return &c.RDBChecksum })),
		yesNo("stop-writes-on-bgsave-error", func(c *engine.Config) *bool { return &c.StopWritesOnBGSave }),
		microseconds("slowlog-log-slower-than", func(c *engine.Config) *time.Duration { return &c.SlowerThan }),
		number("slowlog-max-len", 0, anySize, func(c *engine.Config) *int { return &c.SlowMaxLen }),
		number("min-replicas-to-write", 0, 1<<31, func(c *engine.Config) *int { return &c.MinReplicas }),
		number("min-slaves-to-write", 0, 1<<31, func(c *engine.Config) *int { return &c.MinReplicas }),
		{name: "save", get: savePoints, set: setSavePoints},
		{name: "client-output-buffer-limit", get: outputLimits, set: setOutputLimits},
	}
	for name, value := range unused {
		all = append(all, ignored(name, value))
	}
	slices.SortFunc(all, func(a, b param) int { return strings.Compare(a.name, b.name) })
	return all
}()

// find returns the setting of a name, in any case, or nil.
func find(name string) *param {
	i := slices.IndexFunc(params, func(p param) bool { return strings.EqualFold(p.name, name) })
	if i < 0 {
		return nil
	}
	return &params[i]
}

// Set sets a setting before the database is opened, as a command line does. Those that are fixed
// afterwards can be set too.
func Set(config *engine.Config, name, value string) error {
	switch name {
	case "dir":
		config.Dir = value
	case "dbfilename":
		config.DBFilename = value
	case "appenddirname":
		config.AppendDirname = value
	case "appendfilename":
		config.AppendFilename = value
	default:
		p := find(name)
		if p == nil {
			return fmt.Errorf("there is no setting %q", name)
		}
		set := p.set
		if set == nil {
			set = p.start
		}
		if err := set(config, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func configGet(c *engine.Client, args [][]byte) {
	mark, n := c.Later(), 0
	for _, p := range params {
		if !slices.ContainsFunc(args[2:], func(pattern []byte) bool { return glob.Match(pattern, []byte(p.name), true) }) {
			continue
		}
		c.BulkString(p.name)
		c.BulkString(p.get(c.Engine().Config()))
		n++
	}
	c.SetLen(mark, '%', n)
}

// configSet sets all of the settings or none.
func configSet(c *engine.Client, args [][]byte) {
	if len(args)%2 != 0 {
		c.Error(engine.ErrSyntax)
		return
	}
	config := c.Engine().Config()
	next := *config
	seen := make(map[string]bool)
	fail := func(name []byte, why string) {
		c.Error(fmt.Sprintf("ERR CONFIG SET failed (possibly related to argument '%s') - %s", engine.CText(name), why))
	}
	for i := 2; i < len(args); i += 2 {
		name := strings.ToLower(string(args[i]))
		p := find(name)
		switch {
		case p == nil:
			c.Error(fmt.Sprintf("ERR Unknown option or number of arguments for CONFIG SET - '%s'", engine.CText(args[i])))
			return
		case p.set == nil:
			fail(args[i], "can't set immutable config")
			return
		case seen[name]:
			fail(args[i], "duplicate parameter")
			return
		}
		seen[name] = true
	}
	for i := 2; i < len(args); i += 2 {
		if err := find(string(args[i])).set(&next, string(engine.CText(args[i+1]))); err != nil {
			fail(args[i], err.Error())
			return
		}
	}
	if next.AppendOnly != config.AppendOnly {
		if err := setAppend(c.Engine(), next.AppendOnly); err != nil {
			c.Error(fmt.Sprintf("ERR CONFIG SET failed (possibly related to argument 'appendonly') - %s", err))
			return
		}
	}
	*config = next
	c.OK()
}

func setAppend(e *engine.Engine, on bool) error {
	if e.Persistence() == nil {
		return fmt.Errorf("this database keeps no files")
	}
	return e.Persistence().SetAppend(on)
}

func configResetStat(c *engine.Client, _ [][]byte) {
	c.Engine().ResetStats()
	c.OK()
}

func configRewrite(c *engine.Client, _ [][]byte) {
	c.Error("ERR The server is running without a config file")
}

func setNotify(c *engine.Config, s string) error {
	classes, ok := engine.ParseClasses(s)
	if !ok {
		return fmt.Errorf("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.") //nolint:staticcheck // Redis says it so
	}
	c.Notify = classes
	return nil
}

func savePoints(c *engine.Config) string {
	var all []string
	for _, p := range c.SavePoints {
		all = append(all, fmt.Sprintf("%d %d", int(p.After.Seconds()), p.Changes))
	}
	return strings.Join(all, " ")
}

func setSavePoints(c *engine.Config, s string) error {
	fields := strings.Fields(s)
	if len(fields)%2 != 0 {
		return fmt.Errorf("Invalid save parameters")
	}
	var all []engine.SavePoint
	for i := 0; i < len(fields); i += 2 {
		after, err := strconv.Atoi(fields[i])
		changes, err2 := strconv.ParseInt(fields[i+1], 10, 64)
		if err != nil || err2 != nil || after < 1 || changes < 0 {
			return fmt.Errorf("Invalid save parameters")
		}
		all = append(all, engine.SavePoint{After: time.Duration(after) * time.Second, Changes: changes})
	}
	c.SavePoints = all
	return nil
}

func outputLimits(c *engine.Config) string {
	return fmt.Sprintf("normal 0 0 0 slave 0 0 0 pubsub %d 0 0", c.PubSubOutputLimit)
}

func setOutputLimits(c *engine.Config, s string) error {
	fields := strings.Fields(s)
	if len(fields) == 0 || len(fields)%4 != 0 {
		return fmt.Errorf("Wrong number of arguments in buffer limit configuration.") //nolint:staticcheck // Redis says it so
	}
	for i := 0; i < len(fields); i += 4 {
		hard, ok := ParseMemory(fields[i+1])
		if !ok {
			return fmt.Errorf("Error in hard, soft or soft_seconds setting in buffer limit configuration.") //nolint:staticcheck // Redis says it so
		}
		switch strings.ToLower(fields[i]) {
		case "pubsub":
			c.PubSubOutputLimit = int(hard)
		case "normal", "slave", "replica":
		default:
			return fmt.Errorf("Invalid client class specified in buffer limit configuration.") //nolint:staticcheck // Redis says it so
		}
	}
	return nil
}
