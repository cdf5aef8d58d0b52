package handlers

import (
	"context"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/zmsg/zmsg/model"
)

// batchGet answers reads of many items. An ID that is none fails alone.
func (s *server) batchGet(ctx context.Context, w *response, r *http.Request) error {
	body, err := readBody(w, r, s.Config.MaxBatchBytes, mediaJSON)
	if err != nil {
		return err
	}
	var in struct {
		IDs []jsontext.Value `json:"ids"`
	}
	if err = decode(body, &in); err != nil {
		return err
	}
	if err = checkBatch("/ids", len(in.IDs)); err != nil {
		return err
	}
	texts := make([]string, len(in.IDs))
	errs := make([]error, len(in.IDs))
	ids := make([]model.ID, 0, len(in.IDs))
	for i, raw := range in.IDs {
		var id model.ID
		if texts[i], id, errs[i] = batchID(raw); errs[i] == nil {
			ids = append(ids, id)
		}
	}
	docs, failures := s.readMany(ctx, ids, wantsExact(r))
	s.logBatchFailure(w, failures)
	writeJSON(w, http.StatusMultiStatus, batchGetAnswer(texts, errs, docs, failures))
	return nil
}

// readMany asks for nothing if there is nothing to ask for.
func (s *server) readMany(ctx context.Context, ids []model.ID, exact bool) ([]model.Doc, []error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return s.Reads.GetMany(ctx, ids, exact)
}

// batchID reads an element of a batch. Its text is "" unless it is a string.
func batchID(raw jsontext.Value) (text string, id model.ID, err error) {
	if raw.Kind() != '"' {
		return "", 0, model.NewMalformed("", "must be a string")
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return "", 0, &model.Error{Kind: model.Malformed, Message: "must be a string", Cause: err}
	}
	text = string(b)
	if id, err = model.ParseID(text); err != nil {
		return text, 0, model.NewInvalid("", err.Error())
	}
	return text, id, nil
}

// batchGetAnswer merges what could not be read with what was found, in the order of the request. docs and
// failures are those of the IDs without an error, in their order.
func batchGetAnswer(texts []string, errs []error, docs []model.Doc, failures []error) []byte {
	var b batchAnswer
	next := 0
	for i, text := range texts {
		within := "/ids/" + strconv.Itoa(i)
		if errs[i] != nil {
			b.fail(errs[i], within, "id", text)
			continue
		}
		doc, err := &docs[next], failures[next]
		next++
		switch {
		case err != nil:
			b.fail(err, within, "id", text)
		case !doc.Found():
			b.fail(errAbsent, "", "id", text)
		default:
			b.begin(http.StatusOK, "id", text)
			b.results = append(b.results, `,"item":`...)
			b.results = append(b.results, doc.Body...)
			b.end()
		}
	}
	return b.body()
}
