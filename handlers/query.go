package handlers

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/zmsg/zmsg/model"
)

const (
	defaultLimit = 50
	maxLimit     = 100
	maxAuthors   = 100
	maxCursor    = 1024
)

// pathID returns the ID in the path.
func pathID(r *http.Request) (model.ID, error) {
	id, err := model.ParseID(chi.URLParam(r, "id"))
	if err != nil {
		return 0, model.NewMalformed("id", err.Error())
	}
	return id, nil
}

// parseQuery returns the parameters of r. Unlike URL.Query it drops nothing silently.
func parseQuery(r *http.Request) (url.Values, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &model.Error{Kind: model.Malformed, Message: "the query string cannot be read", Cause: err}
	}
	return q, nil
}

// single returns the value of a parameter that may be given once.
func single(q url.Values, name string) (value string, given bool, err error) {
	switch values := q[name]; len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	default:
		return "", false, model.NewMalformed(name, "must be given once")
	}
}

// parseStore returns how a request wants to be stored, StoreDefault if it does not say.
func parseStore(q url.Values) (model.Store, error) {
	value, given, err := single(q, "store")
	switch {
	case err != nil:
		return model.StoreDefault, err
	case !given:
		return model.StoreDefault, nil
	}
	var store model.Store
	if store.UnmarshalText([]byte(value)) != nil {
		return model.StoreDefault, model.NewMalformed("store", "must be sync or delayed")
	}
	return store, nil
}

// parseLimit returns the length of a page, or the default. More than most is taken as most.
func parseLimit(q url.Values, otherwise, most int) (int, error) {
	value, given, err := single(q, "limit")
	if err != nil || !given {
		return otherwise, err
	}
	for i := range len(value) {
		if value[i] < '0' || value[i] > '9' {
			return 0, errLimit
		}
	}
	n, err := strconv.Atoi(value)
	switch {
	case value == "" || err == nil && n == 0:
		return 0, errLimit
	case err != nil || n > most: // digits that are no int are too many
		return most, nil
	default:
		return n, nil
	}
}

var errLimit = model.NewMalformed("limit", "must be a whole number from 1 on")

// parseCursor checks no more than the size of a cursor: what it means is known where it was made.
func parseCursor(q url.Values) (string, error) {
	value, given, err := single(q, "cursor")
	if err != nil || !given {
		return "", err
	}
	if value == "" || len(value) > maxCursor {
		return "", model.NewMalformed("cursor", "is not a cursor of this list")
	}
	return value, nil
}

// parseAuthors returns the authors of a list.
func parseAuthors(q url.Values) ([]model.ID, error) {
	values := q["author_id"]
	if len(values) == 0 {
		return nil, model.NewMalformed("author_id", "is required")
	}
	if len(values) > maxAuthors {
		return nil, model.NewMalformed("author_id", "must be given at most "+strconv.Itoa(maxAuthors)+" times")
	}
	authors := make([]model.ID, len(values))
	for i, value := range values {
		id, err := model.ParseID(value)
		if err != nil {
			return nil, model.NewMalformed("author_id", err.Error())
		}
		authors[i] = id
	}
	return authors, nil
}
