package service

import (
	"encoding/json"

	"github.com/zmsg/zmsg/model"
)

// Draft is an item as a client gives it. ID 0 asks for a new one.
type Draft struct {
	ID       model.ID
	AuthorID model.ID
	Kind     string
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
	Store      model.Store // StoreSync: committed in SQL; StoreDelayed: queued
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
