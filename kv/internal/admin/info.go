package admin

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// section is a part of INFO.
type section struct {
	name   string
	title  string
	byWord bool // told only when asked for by name, by "all" or by "everything"
	fields func(*engine.Engine) []engine.Field
}

var sections = []section{
	{"server", "Server", false, infoServer},
	{"clients", "Clients", false, infoClients},
	{"memory", "Memory", false, infoMemory},
	{"persistence", "Persistence", false, infoPersistence},
	{"stats", "Stats", false, infoStats},
	{"replication", "Replication", false, infoReplication},
	{"cpu", "CPU", false, infoCPU},
	{"commandstats", "Commandstats", true, infoCommands},
	{"cluster", "Cluster", false, func(*engine.Engine) []engine.Field { return []engine.Field{{Name: "cluster_enabled", Value: "0"}} }},
	{"keyspace", "Keyspace", false, infoKeyspace},
}

func info(c *engine.Client, args [][]byte) {
	var wanted []string
	for _, a := range args[1:] {
		wanted = append(wanted, strings.ToLower(string(a)))
	}
	all := slices.Contains(wanted, "all") || slices.Contains(wanted, "everything")
	byDefault := len(wanted) == 0 || slices.Contains(wanted, "default")
	var text strings.Builder
	for _, s := range sections {
		if !all && !slices.Contains(wanted, s.name) && (!byDefault || s.byWord) {
			continue
		}
		if text.Len() > 0 {
			text.WriteString("\r\n")
		}
		text.WriteString("# " + s.title + "\r\n")
		for _, f := range s.fields(c.Engine()) {
			text.WriteString(f.Name + ":" + f.Value + "\r\n")
		}
	}
	c.Verbatim("txt", text.String())
}

func integerField[T ~int | ~int64 | ~uint64](name string, n T) engine.Field {
	return engine.Field{Name: name, Value: fmt.Sprint(n)}
}

func infoServer(e *engine.Engine) []engine.Field {
	up := time.Since(e.Started())
	executable, _ := os.Executable()
	return []engine.Field{
		{Name: "redis_version", Value: Version},
		{Name: "redis_mode", Value: "standalone"},
		{Name: "server_name", Value: "kv"},
		{Name: "os", Value: runtime.GOOS},
		{Name: "arch_bits", Value: "64"},
		{Name: "go_version", Value: runtime.Version()},
		integerField("process_id", os.Getpid()),
		integerField("tcp_port", e.Port()),
		{Name: "run_id", Value: e.RunID()},
		integerField("server_time_usec", time.Now().UnixMicro()),
		integerField("uptime_in_seconds", int64(up.Seconds())),
		integerField("uptime_in_days", int64(up.Hours()/24)),
		{Name: "hz", Value: "10"},
		{Name: "executable", Value: executable},
		{Name: "config_file", Value: ""},
	}
}

func infoClients(e *engine.Engine) []engine.Field {
	pubsub := 0
	for _, c := range e.Clients() {
		if c.Subscriptions() > 0 {
			pubsub++
		}
	}
	return []engine.Field{
		integerField("connected_clients", len(e.Clients())),
		integerField("maxclients", e.Config().MaxClients),
		integerField("blocked_clients", e.BlockedClients()),
		integerField("pubsub_clients", pubsub),
	}
}

func infoMemory(e *engine.Engine) []engine.Field {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	used := e.Memory()
	return []engine.Field{
		integerField("used_memory", used),
		{Name: "used_memory_human", Value: human(int64(used))},
		integerField("used_memory_rss", m.Sys-m.HeapReleased),
		integerField("used_memory_dataset", used),
		integerField("go_heap_alloc", m.HeapAlloc),
		integerField("go_heap_objects", m.HeapObjects),
		integerField("go_gc_cycles", uint64(m.NumGC)),
		integerField("maxmemory", e.Config().MaxMemory),
		{Name: "maxmemory_human", Value: human(e.Config().MaxMemory)},
		{Name: "maxmemory_policy", Value: string(e.Config().Policy)},
		{Name: "mem_allocator", Value: "go"},
	}
}

func human(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%dB", n)
	case n < 1<<20:
		return fmt.Sprintf("%.2fK", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.2fM", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.2fG", float64(n)/(1<<30))
	}
}

func infoPersistence(e *engine.Engine) []engine.Field {
	loading := 0
	if e.Loading() {
		loading = 1
	}
	fields := []engine.Field{
		integerField("loading", loading),
		integerField("rdb_changes_since_last_save", e.Unsaved()),
	}
	if e.Persistence() == nil {
		return append(fields, engine.Field{Name: "aof_enabled", Value: "0"}, engine.Field{Name: "rdb_bgsave_in_progress", Value: "0"})
	}
	return append(fields, e.Persistence().Status()...)
}

func infoStats(e *engine.Engine) []engine.Field {
	s := e.Stats()
	return []engine.Field{
		integerField("total_connections_received", s.Connections),
		integerField("total_commands_processed", s.Commands),
		integerField("total_net_input_bytes", s.InputBytes),
		integerField("total_net_output_bytes", s.OutputBytes),
		integerField("rejected_connections", s.Rejected),
		integerField("expired_keys", s.Expired),
		integerField("evicted_keys", s.Evicted),
		integerField("keyspace_hits", s.Hits),
		integerField("keyspace_misses", s.Misses),
		integerField("pubsub_channels", len(e.Listeners(engine.Channels))),
		integerField("pubsub_patterns", len(e.Listeners(engine.Patterns))),
		integerField("pubsubshard_channels", len(e.Listeners(engine.Shards))),
		integerField("total_error_replies", s.Errors),
	}
}

// infoReplication tells of a server that has no replicas. Its replication ID is its run ID: each start is a
// history of its own to those who ask whether this is the server that they knew.
func infoReplication(e *engine.Engine) []engine.Field {
	return []engine.Field{
		{Name: "role", Value: "master"},
		{Name: "connected_slaves", Value: "0"},
		{Name: "master_failover_state", Value: "no-failover"},
		{Name: "master_replid", Value: e.RunID()},
		{Name: "master_replid2", Value: strings.Repeat("0", 40)},
		{Name: "master_repl_offset", Value: "0"},
		{Name: "second_repl_offset", Value: "-1"},
		{Name: "repl_backlog_active", Value: "0"},
	}
}

func infoCommands(e *engine.Engine) []engine.Field {
	var fields []engine.Field
	for _, x := range e.Commands() {
		for _, name := range subNames(x) {
			if s := x.Sub[name]; s.Calls() > 0 {
				fields = append(fields, commandField(s))
			}
		}
		if x.Calls() > 0 {
			fields = append(fields, commandField(x))
		}
	}
	return fields
}

// commandField tells how often a command ran. Redis tells the time too, which is not measured here: reading
// the clock would take as long as the fast commands do.
func commandField(x *engine.Command) engine.Field {
	return engine.Field{Name: "cmdstat_" + x.FullName(), Value: fmt.Sprintf("calls=%d,failed_calls=%d", x.Calls(), x.Failures())}
}

func infoKeyspace(e *engine.Engine) []engine.Field {
	var fields []engine.Field
	for _, k := range e.Keyspaces() {
		if k.Len() > 0 {
			fields = append(fields, engine.Field{
				Name:  fmt.Sprintf("db%d", k.Index()),
				Value: fmt.Sprintf("keys=%d,expires=%d,avg_ttl=0", k.Len(), k.Expires()),
			})
		}
	}
	return fields
}
