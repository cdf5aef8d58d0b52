package service

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/zmsg/zmsg/model"
)

// DefaultKind is the kind of an item that does not name one.
const DefaultKind = "post"

// maxKind is the longest kind, in bytes.
const maxKind = 64

// check returns the draft with its defaults, or what is wrong with it. ID 0 passes.
func (f *Feeds) check(d Draft) (Draft, error) {
	if d.Kind == "" {
		d.Kind = DefaultKind
	}
	switch {
	case d.ID < 0:
		return d, model.NewInvalid("/id", "must be positive")
	case d.AuthorID == 0:
		return d, model.NewInvalid("/author_id", "is required")
	case d.AuthorID < 0:
		return d, model.NewInvalid("/author_id", "must be positive")
	case !validKind(d.Kind):
		return d, model.NewInvalid("/kind", fmt.Sprintf("must begin with a letter or digit and hold at most %d of A-Z a-z 0-9 _ . : -", maxKind))
	case len(d.Content) == 0:
		return d, model.NewInvalid("/content", "is required")
	}
	if err := f.checkSize(d.Content); err != nil {
		return d, err
	}
	if !validJSON(d.Content) {
		return d, model.NewInvalid("/content", "must be JSON in UTF-8")
	}
	return d, nil
}

func (f *Feeds) checkSize(content json.RawMessage) error {
	if len(content) <= f.cfg.MaxContentBytes {
		return nil
	}
	return &model.Error{
		Kind: model.TooLarge, Field: "/content",
		Message: fmt.Sprintf("must not exceed %d bytes", f.cfg.MaxContentBytes),
	}
}

// validJSON asks for UTF-8 too, which encoding/json does not and databases do.
func validJSON(b []byte) bool { return utf8.Valid(b) && json.Valid(b) }

// validKind reports whether a kind matches ^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$. Nothing in it needs
// escaping in JSON, which model.Item.AppendJSON relies on.
func validKind(s string) bool {
	if s == "" || len(s) > maxKind {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '_' || c == '.' || c == ':' || c == '-'):
		default:
			return false
		}
	}
	return true
}

// needID refuses a request for one item that names none.
func needID(id model.ID) error {
	if id > 0 {
		return nil
	}
	return model.NewInvalid("/id", "is required, from 1 to 9223372036854775807")
}

// now is the time of a write, in the precision that is stored and served.
func (f *Feeds) now() time.Time { return f.deps.Now().UTC().Truncate(time.Millisecond) }
