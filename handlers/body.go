package handlers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/zmsg/zmsg/model"
)

const (
	mediaJSON       = "application/json"
	mediaMergePatch = "application/merge-patch+json"

	// firstRead bounds the memory that a request gets for its claim of a large body alone.
	firstRead = 64 << 10
)

// readBody returns the whole body of r, which must be of one of the media types, or of none.
func readBody(w *response, r *http.Request, limit int64, media ...string) ([]byte, error) {
	if err := checkMediaType(r, media); err != nil {
		return nil, err
	}
	tooLarge := &model.Error{Kind: model.TooLarge, Message: fmt.Sprintf("the body must be at most %d bytes", limit)}
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(min(r.ContentLength, firstRead)) + bytes.MinRead)
	}
	_, err := buf.ReadFrom(http.MaxBytesReader(w.ResponseWriter, r.Body, limit))
	var exceeded *http.MaxBytesError
	switch {
	case errors.As(err, &exceeded):
		return nil, tooLarge
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, model.NewMalformed("", "the body is shorter than announced")
	case err != nil:
		return nil, &model.Error{Kind: model.Malformed, Message: "the body could not be read", Cause: err}
	}
	return buf.Bytes(), nil
}

// checkMediaType refuses bodies that are not JSON in UTF-8, or compressed.
func checkMediaType(r *http.Request, media []string) error {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return &model.Error{Kind: model.Unsupported, Field: "Content-Encoding", Message: "must be identity"}
	}
	sent := r.Header["Content-Type"]
	if len(sent) == 0 || len(sent) == 1 && slices.Contains(media, sent[0]) {
		return nil
	}
	if len(sent) == 1 {
		t, params, err := mime.ParseMediaType(sent[0])
		charset, given := params["charset"]
		if err == nil && slices.Contains(media, t) && (!given || strings.EqualFold(charset, "utf-8")) {
			return nil
		}
	}
	return &model.Error{
		Kind: model.Unsupported, Field: "Content-Type", Message: "must be " + strings.Join(media, " or "),
	}
}
