package model

import (
	"errors"
	"time"
)

// Kind classifies an error. Each kind is one problem type and one HTTP status.
type Kind uint8

// The kinds.
const (
	Internal           Kind = iota // a defect; 500
	Malformed                      // the request cannot be read; 400
	Invalid                        // the request is readable, a value is not acceptable; 422
	NotFound                       // 404
	Conflict                       // the item exists, or belongs to somebody else; 409
	PreconditionFailed             // If-Match or If-None-Match did not hold; 412
	TooLarge                       // 413
	Unsupported                    // media type; 415
	KeyReused                      // idempotency key of another request; 422
	Unavailable                    // a dependency is away; the outcome of a write is unknown; 503
	TooMany                        // a limit of load; 429
)

// Error is an error with a kind. Message is shown to the client; Cause never is.
type Error struct {
	Kind       Kind
	Field      string // what was wrong: a JSON pointer ("/content"), or a parameter's name ("limit")
	Message    string
	RetryAfter time.Duration // of Unavailable and TooMany; 0 means a default
	Cause      error
}

// Error returns the message and the cause.
func (e *Error) Error() string {
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// ErrDatabase is in the chain of an error that the database alone has caused, by not answering.
var ErrDatabase = errors.New("the database does not answer")

// ErrMoved says that a shard is not where the caller believed: nothing was done.
var ErrMoved = errors.New("the shard has moved")

// KindOf returns the kind of the first Error in err's chain, Internal if there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// NewInvalid says that a field's value is not acceptable.
func NewInvalid(field, message string) error {
	return &Error{Kind: Invalid, Field: field, Message: message}
}

// NewMalformed says that a part of the request cannot be read.
func NewMalformed(field, message string) error {
	return &Error{Kind: Malformed, Field: field, Message: message}
}

// NewUnavailable says that a dependency is away. The cause is kept from the client.
func NewUnavailable(message string, cause error) error {
	return &Error{Kind: Unavailable, Message: message, Cause: cause}
}
