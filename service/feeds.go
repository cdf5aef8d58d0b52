package service

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/zmsg/zmsg/model"
)

// DefaultMaxContentBytes is the limit of an item's content unless Config says otherwise.
const DefaultMaxContentBytes = 64 << 10

// Config is what an operator may choose about feeds.
type Config struct {
	DefaultStore    model.Store // of a write that does not say; defaults to StoreSync
	MaxContentBytes int         // of an item's content as sent; defaults to DefaultMaxContentBytes
}

// FeedsDeps are the parts that Feeds works with. All are required but Now, which defaults to time.Now.
type FeedsDeps struct {
	Reader  Reader
	Evictor Evictor
	Writer  Writer
	Minter  Minter
	Results Results
	// ShardOf and ShardOfKey say where an item and a stored idempotency key live.
	ShardOf    func(model.ID) int
	ShardOfKey func(string) int
	Now        func() time.Time
	Config     Config
}

// Feeds holds the rules of feed items. Its methods are safe for concurrent use.
type Feeds struct {
	deps FeedsDeps
	cfg  Config
}

// NewFeeds returns Feeds over its parts.
func NewFeeds(deps FeedsDeps) *Feeds {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Feeds{deps: deps, cfg: Config{
		DefaultStore:    cmp.Or(deps.Config.DefaultStore, model.StoreSync),
		MaxContentBytes: cmp.Or(deps.Config.MaxContentBytes, DefaultMaxContentBytes),
	}}
}

// Draft is an item as a client gives it. ID 0 asks for a new one.
type Draft struct {
	ID       model.ID
	AuthorID model.ID
	Kind     string // "" means DefaultKind
	Content  json.RawMessage
}

// WriteOptions are what a request says about how to write.
type WriteOptions struct {
	Store          model.Store
	Cond           model.Cond
	IdempotencyKey string // as sent; "" for none
	Fingerprint    string // a digest of method, path and body
}

// Written is the answer to a write.
type Written struct {
	Item       model.Item // of a deletion only ID and Version; Version 0 if there was nothing to delete
	Created    bool
	Replayed   bool
	Store      model.Store // what was done: StoreSync: committed in SQL; StoreDelayed: queued
	Durability string      // of a queued write
}

// BatchOp is one operation of a batch: a put (create or replace; create only if Create) or a deletion.
type BatchOp struct {
	Op     model.Op
	Create bool
	Draft  Draft
	Cond   model.Cond
}

// BatchResult is what became of one BatchOp: Err, or Written.
type BatchResult struct {
	Written Written
	Err     error
}
