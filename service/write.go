package service

import (
	"cmp"
	"context"
	"errors"

	"github.com/zmsg/zmsg/model"
)

// Create stores a new item. Without an ID it gets a new one. An ID that is taken is a Conflict.
func (f *Feeds) Create(ctx context.Context, d Draft, opts WriteOptions) (Written, error) {
	d, err := f.check(d)
	if err != nil {
		return Written{}, err
	}
	opts.Cond = model.Cond{Absent: true}
	store, err := f.store(opts.Store)
	if err != nil {
		return Written{}, err
	}
	key, fingerprint, err := f.claim(ctx, "create", d.ID, opts)
	if err != nil {
		return Written{}, err
	}
	if d.ID == 0 {
		if d.ID, err = f.mint(ctx, key); err != nil {
			return Written{}, err
		}
	}
	written, err := f.write(ctx, f.put(d, opts.Cond, key, fingerprint), store)
	return written, asConflict(err)
}

// Put creates or replaces the item d.ID. An item of another author is a Conflict.
func (f *Feeds) Put(ctx context.Context, d Draft, opts WriteOptions) (Written, error) {
	if err := needID(d.ID); err != nil {
		return Written{}, err
	}
	d, err := f.check(d)
	if err != nil {
		return Written{}, err
	}
	store, err := f.store(opts.Store)
	if err != nil {
		return Written{}, err
	}
	key, fingerprint, err := f.claim(ctx, "put", d.ID, opts)
	if err != nil {
		return Written{}, err
	}
	return f.write(ctx, f.put(d, opts.Cond, key, fingerprint), store)
}

// Delete deletes the item id. That there is none is a success, with Version 0, unless a condition
// asks for the item.
func (f *Feeds) Delete(ctx context.Context, id model.ID, opts WriteOptions) (Written, error) {
	if err := needID(id); err != nil {
		return Written{}, err
	}
	store, err := f.store(opts.Store)
	if err != nil {
		return Written{}, err
	}
	key, fingerprint, err := f.claim(ctx, "delete", id, opts)
	if err != nil {
		return Written{}, err
	}
	return f.write(ctx, f.deletion(id, opts.Cond, key, fingerprint), store)
}

func (f *Feeds) put(d Draft, cond model.Cond, key, fingerprint string) *model.Write {
	return &model.Write{
		ID: d.ID, Op: model.OpPut, AuthorID: d.AuthorID, Kind: d.Kind, Content: d.Content,
		At: f.now(), Cond: cond, IdempotencyKey: key, Fingerprint: fingerprint,
	}
}

func (f *Feeds) deletion(id model.ID, cond model.Cond, key, fingerprint string) *model.Write {
	return &model.Write{
		ID: id, Op: model.OpDelete, At: f.now(), Cond: cond, IdempotencyKey: key, Fingerprint: fingerprint,
	}
}

// store says how a write is stored, or why it cannot be now.
func (f *Feeds) store(asked model.Store) (model.Store, error) {
	return f.deps.Writer.Ready(cmp.Or(asked, f.cfg.DefaultStore))
}

// pending is a write that is queued: its answer, and what must be committed before it may be given.
type pending struct {
	written Written
	version model.Version // the answer rests on this version; 0: on none
}

// write queues w and returns its answer as soon as the store allows.
func (f *Feeds) write(ctx context.Context, w *model.Write, store model.Store) (Written, error) {
	p, err := f.submit(ctx, w, store)
	if err != nil {
		return Written{}, err
	}
	if err := f.settle(ctx, p); err != nil {
		return Written{}, err
	}
	return p.written, nil
}

// submit queues w and says what its outcome means.
func (f *Feeds) submit(ctx context.Context, w *model.Write, store model.Store) (pending, error) {
	w.Delayed = store == model.StoreDelayed
	res, err := f.deps.Writer.Write(ctx, w)
	if err != nil {
		return pending{}, unknownIfEnded(err)
	}
	if err := refusal(res.Outcome); err != nil {
		return pending{}, err
	}
	p := pending{version: res.Version, written: Written{
		Item:     itemOf(w, &res),
		Created:  res.Created && w.Op == model.OpPut,
		Replayed: res.Replayed,
		Store:    store,
	}}
	switch {
	case res.Committed: // there is nothing to wait for, whatever was asked
		p.version, p.written.Store = 0, model.StoreSync
	case store == model.StoreDelayed:
		p.written.Durability = f.deps.Writer.Durability()
	}
	return p, nil
}

// settle waits, if the write is a synchronous one, until its answer is true in SQL. That goes for a
// repeat and for the deletion of what is deleted too: the write they rest on may still be queued.
func (f *Feeds) settle(ctx context.Context, p pending) error {
	if p.written.Store != model.StoreSync || p.version == 0 {
		return nil
	}
	return unknownIfEnded(f.deps.Writer.Await(ctx, p.written.Item.ID, p.version))
}

// itemOf returns the item that a write made. Of a repeat that is the first one's item: the fingerprint
// has shown that both requests say the same.
func itemOf(w *model.Write, res *model.WriteResult) model.Item {
	item := model.Item{ID: w.ID, Version: res.Version}
	if res.ID != 0 {
		item.ID = res.ID
	}
	if w.Op == model.OpDelete {
		if res.Outcome == model.OutcomeUnchanged {
			item.Version = 0
		}
		return item
	}
	item.AuthorID, item.Kind, item.Content = w.AuthorID, w.Kind, w.Content
	item.CreatedAt, item.UpdatedAt = res.CreatedAt, res.UpdatedAt
	return item
}

// refusal returns what an outcome means as an error, nil for a success.
func refusal(o model.Outcome) error {
	switch o {
	case model.OutcomeApplied, model.OutcomeUnchanged:
		return nil
	case model.OutcomeCondFailed:
		return &model.Error{Kind: model.PreconditionFailed, Message: "the item is not in the state that the request asks for"}
	case model.OutcomeAuthorConflict:
		return &model.Error{Kind: model.Conflict, Field: "/author_id", Message: "an item keeps its author"}
	case model.OutcomeKeyReused:
		return errKeyReused()
	default:
		return &model.Error{Kind: model.Internal, Message: "unknown outcome of a write"}
	}
}

// asConflict gives the failed precondition of a creation its name.
func asConflict(err error) error {
	if err == nil || model.KindOf(err) != model.PreconditionFailed {
		return err
	}
	return &model.Error{Kind: model.Conflict, Field: "/id", Message: "the item exists"}
}

func errKeyReused() error {
	return &model.Error{Kind: model.KeyReused, Field: "Idempotency-Key", Message: "the idempotency key was used by another request"}
}

// unknownIfEnded says of a write whose context ended that its outcome is unknown.
func unknownIfEnded(err error) error {
	var known *model.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return model.NewUnavailable("the request ended before the outcome of the write was known", err)
	}
	return err
}
