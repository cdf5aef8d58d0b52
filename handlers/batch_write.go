package handlers

import (
	"context"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/zmsg/zmsg/api"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// batchWrite answers many writes. Those that cannot be read fail alone, like those that the service refuses.
func (s *server) batchWrite(ctx context.Context, w *response, r *http.Request) error {
	o, err := options(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, s.Config.MaxBatchBytes, mediaJSON)
	if err != nil {
		return err
	}
	if err = o.identify(r, body); err != nil {
		return err
	}
	var in struct {
		Items []jsontext.Value `json:"items"`
	}
	if err = decode(body, &in); err != nil {
		return err
	}
	if err = checkBatch("/items", len(in.Items)); err != nil {
		return err
	}
	results := make([]service.BatchResult, len(in.Items))
	ops := make([]service.BatchOp, len(in.Items))
	readOps(in.Items, ops, results)
	if err = s.writeOps(ctx, w, ops, results, o.WriteOptions); err != nil {
		return err
	}
	writeJSON(w, http.StatusMultiStatus, batchWriteAnswer(w, ops, results, o.preferred))
	return nil
}

// readOps reads each operation, or notes why it cannot be read.
func readOps(items []jsontext.Value, ops []service.BatchOp, results []service.BatchResult) {
	for i, raw := range items {
		var in api.BatchWriteOperation
		err := decodeValue(raw, &in)
		if err == nil {
			ops[i], err = batchOp(&in)
		}
		results[i].Err = err
	}
}

// writeOps hands the readable operations to the service and puts its results in their places. A key that
// belongs to another request is a failure of the whole, unless some operations had an effect.
func (s *server) writeOps(ctx context.Context, w *response, ops []service.BatchOp, results []service.BatchResult, o service.WriteOptions) error {
	readable := make([]service.BatchOp, 0, len(ops))
	for i := range ops {
		if results[i].Err == nil {
			readable = append(readable, ops[i])
		}
	}
	if len(readable) == 0 {
		return nil
	}
	done := s.Batches.Batch(ctx, readable, o)
	errs := make([]error, len(done))
	var reused error
	effects := 0
	for i := range done {
		errs[i] = done[i].Err
		switch {
		case model.KindOf(done[i].Err) == model.KeyReused:
			reused = done[i].Err
		case done[i].Err == nil && done[i].Written.Item.Version != 0:
			effects++
		}
	}
	if reused != nil && effects == 0 {
		return reused
	}
	s.logBatchFailure(w, errs)
	next := 0
	for i := range results {
		if results[i].Err == nil {
			results[i] = done[next]
			next++
		}
	}
	return nil
}

// batchOp checks one operation.
func batchOp(in *api.BatchWriteOperation) (service.BatchOp, error) {
	var (
		op  service.BatchOp
		err error
	)
	switch in.Op {
	case api.BatchWriteOperationOpCreate, api.BatchWriteOperationOpPut:
		op.Create = in.Op == api.BatchWriteOperationOpCreate
		op.Draft, err = newDraft(in.ID, in.AuthorID, in.Kind, in.Content)
	case api.BatchWriteOperationOpDelete:
		op.Op = model.OpDelete
		op.Draft.ID, err = deletionID(in)
	case "":
		err = model.NewInvalid("/op", "is required")
	default:
		err = model.NewInvalid("/op", "must be create, put or delete")
	}
	if err != nil {
		return op, err
	}
	if op.Draft.ID == 0 && !op.Create {
		return op, model.NewInvalid("/id", "is required")
	}
	if in.IfMatch == nil {
		return op, nil
	}
	if op.Create {
		return op, model.NewInvalid("/if_match", "is not for a create")
	}
	op.Cond, err = batchCond(*in.IfMatch)
	return op, err
}

// deletionID returns the ID of a deletion, which may say nothing of an item.
func deletionID(in *api.BatchWriteOperation) (model.ID, error) {
	for _, m := range []struct {
		name  string
		given bool
	}{{"/author_id", in.AuthorID != nil}, {"/kind", in.Kind != nil}, {"/content", in.Content != nil}} {
		if m.given {
			return 0, model.NewInvalid(m.name, "is not for a delete")
		}
	}
	if in.ID == nil {
		return 0, nil
	}
	id, err := model.ParseID(*in.ID)
	if err != nil {
		return 0, model.NewInvalid("/id", err.Error())
	}
	return id, nil
}

func batchCond(ifMatch string) (model.Cond, error) {
	if ifMatch == "*" {
		return model.Cond{Exists: true}, nil
	}
	v, err := model.ParseVersion(ifMatch)
	if err != nil {
		return model.Cond{}, model.NewInvalid("/if_match", "must be a version, or *")
	}
	return model.Cond{Match: []model.Version{v}}, nil
}

// batchWriteAnswer returns the body, and sets the headers that follow from the results.
func batchWriteAnswer(w *response, ops []service.BatchOp, results []service.BatchResult, preferred bool) []byte {
	var b batchAnswer
	replayed, fresh, queued := 0, 0, 0
	for i := range results {
		written := &results[i].Written
		id := written.Item.ID
		if id == 0 {
			id = ops[i].Draft.ID
		}
		text := ""
		if id != 0 {
			text = id.String()
		}
		if err := results[i].Err; err != nil {
			b.fail(err, "/items/"+strconv.Itoa(i), "id", text)
			continue
		}
		b.write(text, &ops[i], written)
		switch {
		case written.Replayed:
			replayed++
		case written.Item.Version != 0: // a deletion of nothing is the same each time
			fresh++
		}
		if written.Store == model.StoreDelayed {
			queued++
		}
	}
	if queued > 0 && preferred {
		w.Header()["Preference-Applied"] = respondAsync
	}
	if replayed > 0 && fresh == 0 {
		w.Header()["Idempotent-Replayed"] = replayedTrue
	}
	return b.body()
}

// write adds the result of an operation that was done.
func (b *batchAnswer) write(id string, op *service.BatchOp, written *service.Written) {
	status := http.StatusOK
	switch {
	case written.Store == model.StoreDelayed:
		status = http.StatusAccepted
	case op.Op == model.OpDelete:
		status = http.StatusNoContent
	case op.Create || written.Created:
		status = http.StatusCreated
	}
	b.begin(status, "id", id)
	if v := written.Item.Version; v != 0 {
		b.results = append(b.results, `,"version":"`...)
		b.results = strconv.AppendInt(b.results, int64(v), 10)
		b.results = append(b.results, '"')
		if op.Op == model.OpPut {
			b.results = append(b.results, `,"etag":`...)
			b.results = appendString(b.results, etagOf(v))
		}
	}
	if status == http.StatusAccepted {
		b.results = append(b.results, `,"durability":`...)
		b.results = appendString(b.results, written.Durability)
	}
	b.end()
}
