package service

import (
	"time"

	"github.com/zmsg/zmsg/model"
)

// ListQuery asks for one page of the live items of some authors.
type ListQuery struct {
	Authors []model.ID // 1 to 100
	Cursor  string     // NextCursor of the page before; "" for the first page
	Limit   int        // items in the page, 1 to 100
	Exact   bool       // no copy that may be older than the newest acknowledged write
}

// Page is one page of a list, newest item first.
type Page struct {
	Items      []model.Item
	NextCursor string // "" on the last page; a short page need not be the last
	Bypass     bool   // Redis was out of reach for some shards: their writes that are still queued are invisible
}

// IDParts is what an ID says about its making.
type IDParts struct {
	ID        model.ID
	Timestamp time.Time // UTC, whole milliseconds
	Node      int       // of the minter, 0 to 1023
	Sequence  int       // within the millisecond, 0 to 4095
}
