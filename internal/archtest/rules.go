package archtest

const module = "github.com/zmsg/zmsg"

// apart lists layers that meet only where the engine is assembled. What one needs of another it
// declares as an interface of its own.
var apart = [][]string{
	{"handlers", "cache", "repo", "queue"},
	{"service", "cache"},
	{"service", "repo"},
	{"service", "queue"},
}

// testSupport is what the tests of every package may import.
var testSupport = []string{"internal/testenv", "internal/lifecycle/lifecycletest", "internal/failpoint"}

// storage is what the layers over Redis may import.
var storage = []string{
	"model", "internal/failpoint", "internal/keyspace", "internal/lifecycle", "internal/redisconn", "internal/shards",
}

// rules has one entry for each package, by layer, from the leaves up. Give a new package the least
// that it must import.
//
// What assembles and what measures the whole (".", cmd/..., bench/...) may import everything ("...").
var rules = []Rule{
	{Package: "model", StdOnly: true},
	{Package: "api"},
	{Package: "client", May: []string{"api"}},
	{Package: "db", StdOnly: true},

	{Package: "internal/lifecycle", StdOnly: true},
	{Package: "internal/lifecycle/lifecycletest", May: []string{"internal/lifecycle"}},
	{Package: "internal/failpoint", StdOnly: true},
	{Package: "internal/envconfig"},
	{Package: "internal/keyspace", May: []string{"model"}},
	{Package: "internal/redisconn", May: []string{"model"}},
	{Package: "internal/shards", May: []string{
		"model", "internal/failpoint", "internal/keyspace", "internal/lifecycle", "internal/redisconn",
	}, Tests: []string{"repo/migrate", "repo/postgres"}},
	{Package: "internal/testenv"},
	{Package: "internal/archtest", StdOnly: true},

	{Package: "snowflake", May: []string{"internal/lifecycle"}},
	{Package: "cache/...", May: storage},
	{Package: "queue/...", May: storage},
	{Package: "repo/...", May: []string{"model", "db", "snowflake", "internal/failpoint"}, Tests: []string{"repo/..."}},

	{Package: "service", May: []string{"model"}},
	{Package: "handlers/...", May: []string{"api", "model", "service"}, Tests: []string{"client"}},

	// The embedded database stands by itself: it could be a module of its own.
	{Package: "kv/...", May: []string{"kv/..."}},

	{Package: ".", May: []string{"..."}},
	{Package: "cmd/...", May: []string{"..."}},
	{Package: "bench/...", May: []string{"..."}},
	{Package: "docs", May: []string{"..."}},
}
