package service

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/zmsg/zmsg/model"
)

// patchAttempts bounds how often a patch is computed anew because the item changed meanwhile. Each
// further attempt means that another write went through, so that many patches of one item at once need
// as many. They step out of each other's way by pausing at random, up to patchPause for each attempt made.
const (
	patchAttempts = 200
	patchPause    = 200 * time.Microsecond
)

// Patch merges a patch (RFC 7396) into the content of the item id. It replaces exactly the version that
// it has read, and begins anew when that one is gone. Where there is no item it is NotFound, or
// PreconditionFailed if the request has a condition that asks for one.
func (f *Feeds) Patch(ctx context.Context, id model.ID, patch json.RawMessage, opts WriteOptions) (Written, error) {
	if err := needID(id); err != nil {
		return Written{}, err
	}
	if err := f.checkSize(patch); err != nil {
		return Written{}, err
	}
	if !validJSON(patch) {
		return Written{}, model.NewMalformed("", "must be JSON in UTF-8")
	}
	store, err := f.store(opts.Store)
	if err != nil {
		return Written{}, err
	}
	opts.Store = store
	if opts.IdempotencyKey, opts.Fingerprint, err = f.claim(ctx, "patch", id, opts); err != nil {
		return Written{}, err
	}
	for attempt := range patchAttempts {
		written, again, err := f.patchOnce(ctx, id, patch, opts)
		if !again {
			return written, err
		}
		select {
		case <-ctx.Done():
			return Written{}, unknownIfEnded(ctx.Err())
		case <-time.After(rand.N(time.Duration(attempt+1) * patchPause)):
		}
	}
	return Written{}, &model.Error{Kind: model.Conflict, Message: "the item kept changing while the patch was applied"}
}

// patchOnce merges the patch into the current item. again says that the item changed meanwhile.
func (f *Feeds) patchOnce(ctx context.Context, id model.ID, patch []byte, opts WriteOptions) (_ Written, again bool, _ error) {
	cur, err := f.live(ctx, id, opts.Cond)
	if err != nil {
		return Written{}, false, err
	}
	met := meets(opts.Cond, cur.Version)
	if !met && opts.IdempotencyKey == "" {
		return Written{}, false, refusal(model.OutcomeCondFailed)
	}
	merged := mergePatch(cur.Content, patch)
	if err := f.checkSize(merged); err != nil {
		return Written{}, false, err
	}
	// A condition that is not met goes out unchanged: versions only rise, so it fails for certain,
	// unless the request is the repeat of one that changed the item itself.
	cond := opts.Cond
	if met {
		cond = model.Cond{Match: []model.Version{cur.Version}}
	}
	d := Draft{ID: id, AuthorID: cur.AuthorID, Kind: cur.Kind, Content: merged}
	written, err := f.write(ctx, f.put(d, cond, opts.IdempotencyKey, opts.Fingerprint), opts.Store)
	if err != nil {
		return Written{}, met && model.KindOf(err) == model.PreconditionFailed, err
	}
	if written.Replayed {
		// What the first request made of the item is not known any more. The item is that or later.
		written.Item, err = f.live(ctx, id, model.Cond{})
	}
	return written, false, err
}

// live returns the current item, or the error that says there is none.
func (f *Feeds) live(ctx context.Context, id model.ID, cond model.Cond) (model.Item, error) {
	cur, err := f.deps.Reader.Current(ctx, id)
	switch {
	case err != nil:
		return model.Item{}, err
	case cur.Version != 0 && !cur.Deleted:
		return cur, nil
	case cond.Exists || len(cond.Match) > 0:
		return model.Item{}, refusal(model.OutcomeCondFailed)
	default:
		return model.Item{}, &model.Error{Kind: model.NotFound, Message: "there is no such item"}
	}
}

// meets reports whether an item that exists with version v meets a condition.
func meets(c model.Cond, v model.Version) bool {
	return !c.Absent && (len(c.Match) == 0 || slices.Contains(c.Match, v))
}
