package handlers

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/zmsg/zmsg/api"
	"github.com/zmsg/zmsg/model"
)

const (
	maxMint      = 10_000
	maxMintBytes = 4 << 10
)

// mint answers POST of IDs.
func (s *server) mint(ctx context.Context, w *response, r *http.Request) error {
	body, err := readBody(w, r, maxMintBytes, mediaJSON)
	if err != nil {
		return err
	}
	count, err := mintCount(body)
	if err != nil {
		return err
	}
	var o writeRequest
	if err = o.identify(r, body); err != nil {
		return err
	}
	ids, replayed, err := s.IDs.Mint(ctx, count, o.IdempotencyKey, o.Fingerprint)
	if err != nil {
		return err
	}
	w.Header()["Cache-Control"] = noStore
	if replayed {
		w.Header()["Idempotent-Replayed"] = replayedTrue
	}
	writeJSON(w, http.StatusOK, appendIDs(ids))
	return nil
}

// mintCount returns how many IDs are wanted: one, if the body is missing or does not say.
func mintCount(body []byte) (int, error) {
	if len(body) == 0 {
		return 1, nil
	}
	var in api.MintRequest
	if err := decode(body, &in); err != nil {
		return 0, err
	}
	switch {
	case in.Count == nil:
		return 1, nil
	case *in.Count < 1 || *in.Count > maxMint:
		return 0, model.NewInvalid("/count", fmt.Sprintf("must be from 1 to %d", maxMint))
	default:
		return *in.Count, nil
	}
}

func appendIDs(ids []model.ID) []byte {
	b := make([]byte, 0, 16+22*len(ids)) // 19 digits, quotes and a comma
	b = append(b, `{"ids":[`...)
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = strconv.AppendInt(b, int64(id), 10)
		b = append(b, '"')
	}
	return append(b, `]}`...)
}

// describeID answers GET of an ID.
func (s *server) describeID(_ context.Context, w *response, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	parts := s.IDs.Describe(id)
	b := fmt.Appendf(nil, `{"id":"%d","timestamp":%q,"node":%d,"sequence":%d}`,
		int64(parts.ID), parts.Timestamp.UTC().Format(model.TimeLayout), parts.Node, parts.Sequence)
	w.Header()["Cache-Control"] = forEver
	writeJSON(w, http.StatusOK, b)
	return nil
}
