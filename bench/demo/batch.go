package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/zmsg/zmsg/model"
)

// batchOp is one operation of a batch: what is sent, and what the item is if it succeeds.
type batchOp struct {
	json []byte
	item *model.Item // its record
	next model.Item
}

// batchAnswer is the answer to a batch, of reads or of writes.
type batchAnswer struct {
	Items []struct {
		Index   int             `json:"index"`
		ID      string          `json:"id"`
		Status  int             `json:"status"`
		Version string          `json:"version"`
		Item    *wireItem       `json:"item"`
		Problem json.RawMessage `json:"problem"`
	} `json:"items"`
}

// createOp returns the creation of a new item, half of them with an ID that is given.
func (w *writer) createOp(ctx context.Context, author model.ID) (batchOp, error) {
	it := model.Item{AuthorID: author, Kind: kinds[w.rng.IntN(len(kinds))], Content: newContent(w.rng)}
	name, given := "create", w.rng.IntN(2) == 0
	if given {
		id, err := w.nextID(ctx)
		if err != nil {
			return batchOp{}, err
		}
		it.ID, name = id, []string{"create", "put"}[w.rng.IntN(2)]
	}
	return batchOp{json: opJSON(name, &it, given), item: &model.Item{}, next: withDefaults(it)}, nil
}

// editOp returns the replacement of an item.
func (w *writer) editOp(it *model.Item) batchOp {
	next := *it
	next.Content = newContent(w.rng)
	return batchOp{json: opJSON("put", &next, true), item: it, next: next}
}

// removeOp returns the deletion of an item.
func (w *writer) removeOp(it *model.Item) batchOp {
	next := *it
	next.Deleted = true
	return batchOp{json: fmt.Appendf(nil, `{"op":"delete","id":"%d"}`, it.ID), item: it, next: next}
}

func opJSON(name string, it *model.Item, id bool) []byte {
	return append(fmt.Appendf(nil, `{"op":"%s",`, name), draftJSON(it, id)[1:]...)
}

// batch sends operations until the outcome of each is known, and updates the records.
func (w *writer) batch(ctx context.Context, ops []batchOp) error {
	store := w.nextStore()
	all := make([][]byte, len(ops))
	for i := range ops {
		all[i] = ops[i].json
	}
	req := request{
		method: http.MethodPost, path: "/feeds:batchWrite?store=" + store,
		header: map[string]string{"Idempotency-Key": w.key()},
		body:   fmt.Appendf(nil, `{"items":[%s]}`, bytes.Join(all, []byte{','})),
	}
	var results batchAnswer
	start := time.Now()
	ans, err := w.api.settleIf(ctx, w.nextReplica(), req, func(ans *answer) bool {
		results = batchAnswer{}
		return isFinal(ans, &results)
	})
	if err != nil {
		return err
	}
	w.report.written("batch "+store, time.Since(start))
	if ans.status != http.StatusMultiStatus || len(results.Items) != len(ops) {
		return unexpected(req, ans) // The batch as a whole: nothing more can be said of its items.
	}
	for i := range ops {
		res := &results.Items[i]
		if res.Index != i || res.Status >= 300 {
			w.report.mismatch("batch", ops[i].next.ID, "%s was answered with %d %s", ops[i].json, res.Status, res.Problem)
			continue
		}
		if err := ops[i].apply(res.ID, res.Version); err != nil {
			return fmt.Errorf("%w in %s", err, ans.body)
		}
	}
	one := ops[w.rng.IntN(len(ops))].item
	if one.ID == 0 {
		return nil // It was refused, which is reported.
	}
	return w.checkWritten(ctx, ans.replica, one)
}

// isFinal reads the answer to a batch into results and reports whether no outcome is unknown.
func isFinal(ans *answer, results *batchAnswer) bool {
	if ans.status != http.StatusMultiStatus {
		return ans.status < 500 && ans.status != http.StatusTooManyRequests
	}
	if json.Unmarshal(ans.body, results) != nil {
		return true // The caller finds that there are no results.
	}
	for i := range results.Items {
		if s := results.Items[i].Status; s >= 500 || s == http.StatusTooManyRequests {
			return false
		}
	}
	return true
}

// apply updates the record of the operation's item.
func (op *batchOp) apply(id, version string) error {
	parsed, err := model.ParseID(id)
	if err != nil {
		return fmt.Errorf("id %q: %w", id, err)
	}
	if op.next.ID == 0 {
		op.next.ID = parsed
	}
	if parsed != op.next.ID {
		return fmt.Errorf("id %d in the place of %d", parsed, op.next.ID)
	}
	if !op.next.Deleted {
		if op.next.Version, err = model.ParseVersion(version); err != nil {
			return fmt.Errorf("version %q: %w", version, err)
		}
	}
	*op.item = op.next
	return nil
}
