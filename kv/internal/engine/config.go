package engine

import "time"

// Config has the settings that commands read. It is changed under the engine's lock only. The names of
// CONFIG GET and SET, and their texts, are kept by package admin.
type Config struct {
	Databases   int    // number of databases
	RequirePass string // "" asks for no password

	MaxMemory        int64 // bytes of keys and values; 0 has no limit
	Policy           Policy
	MaxMemorySamples int
	LFULogFactor     int
	LFUDecayTime     int // minutes

	MaxClients        int
	Timeout           time.Duration // after which idle connections are closed; 0 is never
	KeepAlive         time.Duration
	QueryBufferLimit  int // bytes of one client's incomplete request or open transaction
	PubSubOutputLimit int // bytes of undelivered messages, after which a subscriber is disconnected
	ProtoMaxBulk      int // bytes of the longest argument

	MinReplicas int // to take writes; there are none, so that more than 0 refuses them

	Notify Class // keyspace events

	// The sizes up to which collections keep their small forms.
	HashMaxListpackEntries, HashMaxListpackValue int
	ZSetMaxListpackEntries, ZSetMaxListpackValue int
	SetMaxIntsetEntries                          int
	ListMaxListpackSize                          int // as Redis: -1…-5 is 4…64 KB, positive is elements
	StreamNodeMaxBytes, StreamNodeMaxEntries     int
	HLLSparseMaxBytes                            int

	ScriptTimeLimit time.Duration // after which other clients are told BUSY

	SlowerThan time.Duration // commands that take longer are in the slow log; negative is none
	SlowMaxLen int           // entries of the slow log

	AppendOnly         bool
	AppendFsync        string // always, everysec, no
	RewritePercentage  int    // growth of the log after which it is rewritten; 0 is never
	RewriteMinSize     int64  // bytes below which it is not
	SavePoints         []SavePoint
	RDBCompression     bool
	RDBChecksum        bool
	Dir, DBFilename    string
	AppendDirname      string
	AppendFilename     string
	LoadTruncated      bool // a torn tail of the log is cut; false refuses to start
	StopWritesOnBGSave bool

	Ignored map[string]string // settings that mean nothing here; never changed, but replaced
}

// SavePoint asks for a snapshot after a time with so many changes.
type SavePoint struct {
	After   time.Duration
	Changes int64
}

// Defaults returns Redis 7.0's settings, without save points.
func Defaults() *Config {
	return &Config{
		Databases: 16,
		Policy:    NoEviction, MaxMemorySamples: 5, LFULogFactor: 10, LFUDecayTime: 1,
		MaxClients: 10000, KeepAlive: 300 * time.Second,
		QueryBufferLimit: 1 << 30, PubSubOutputLimit: 32 << 20, ProtoMaxBulk: 512 << 20,
		HashMaxListpackEntries: 512, HashMaxListpackValue: 64,
		ZSetMaxListpackEntries: 128, ZSetMaxListpackValue: 64,
		SetMaxIntsetEntries: 512, ListMaxListpackSize: -2,
		StreamNodeMaxBytes: 4096, StreamNodeMaxEntries: 100, HLLSparseMaxBytes: 3000,
		ScriptTimeLimit: 5 * time.Second,
		SlowerThan:      10 * time.Millisecond, SlowMaxLen: 128,
		AppendFsync: "everysec", RewritePercentage: 100, RewriteMinSize: 64 << 20,
		RDBCompression: true, RDBChecksum: true,
		Dir: ".", DBFilename: "dump.rdb", AppendDirname: "appendonlydir", AppendFilename: "appendonly.aof",
		LoadTruncated: true, StopWritesOnBGSave: true,
	}
}
