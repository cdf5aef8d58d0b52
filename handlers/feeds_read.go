package handlers

import (
	"context"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/zmsg/zmsg/api"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

var errAbsent = &model.Error{Kind: model.NotFound, Message: "there is no such item"}

// get answers GET and HEAD of an item. The server leaves out the body of HEAD.
func (s *server) get(ctx context.Context, w *response, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	exact := wantsExact(r)
	doc, err := s.Reads.Get(ctx, id, exact)
	if err != nil {
		return err
	}
	w.Header()["Cache-Status"] = cacheStatus(&doc, exact)
	if !doc.Found() {
		return errAbsent
	}
	etag := etagOf(doc.Version)
	w.setETag(etag)
	if notModified(r, etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	writeJSON(w, http.StatusOK, doc.Body)
	return nil
}

// The values of Cache-Status (RFC 9211): by the tier that answered, or by why the database was asked.
var (
	cacheHits = [...][]string{
		model.TierL1:     {"zmsg; hit; detail=l1"},
		model.TierL2:     {"zmsg; hit; detail=l2"},
		model.TierFilter: {"zmsg; hit; detail=bloom"},
	}
	cacheMiss    = []string{"zmsg; fwd=miss; detail=sql"}
	cacheRefused = []string{"zmsg; fwd=request; detail=sql"}
	cacheBypass  = []string{"zmsg; fwd=bypass; detail=sql"}
)

func cacheStatus(doc *model.Doc, exact bool) []string {
	switch {
	case int(doc.Tier) < len(cacheHits) && cacheHits[doc.Tier] != nil:
		return cacheHits[doc.Tier]
	case doc.Bypass:
		return cacheBypass
	case exact:
		return cacheRefused
	default:
		return cacheMiss
	}
}

// list answers one page of the items of some authors.
func (s *server) list(ctx context.Context, w *response, r *http.Request) error {
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	query := service.ListQuery{Exact: wantsExact(r)}
	if query.Authors, err = parseAuthors(q); err != nil {
		return err
	}
	if query.Limit, err = parseLimit(q, defaultLimit, maxLimit); err != nil {
		return err
	}
	if query.Cursor, err = parseCursor(q); err != nil {
		return err
	}
	page, err := s.Reads.List(ctx, query)
	if err != nil {
		return err
	}
	if page.Bypass {
		w.Header()["Cache-Status"] = cacheBypass
	}
	writeJSON(w, http.StatusOK, appendPage(nil, &page))
	return nil
}

func appendPage(dst []byte, page *service.Page) []byte {
	size := 64 + len(page.NextCursor)
	for i := range page.Items {
		size += itemOverhead + len(page.Items[i].Content)
	}
	dst = append(make([]byte, 0, size), dst...)
	dst = append(dst, `{"items":[`...)
	for i := range page.Items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = page.Items[i].AppendJSON(dst)
	}
	dst = append(dst, ']')
	if page.NextCursor != "" {
		dst = append(dst, `,"next_cursor":`...)
		dst = appendString(dst, page.NextCursor)
	}
	return append(dst, '}')
}

// itemOverhead is about what an item takes beside its content.
const itemOverhead = 256

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // invalid UTF-8 is replaced, which is its only error
	return dst
}

// hit answers from the caches and the filter whether an item may exist.
func (s *server) hit(ctx context.Context, w *response, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	may, err := s.Reads.MayExist(ctx, id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, marshal(api.Hit{MayExist: may}))
	return nil
}
