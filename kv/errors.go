package kv

import (
	"errors"
	"strings"
)

// Errors that callers ask for with errors.Is. Others have Redis's text.
var (
	// ErrNotFound says that a key, a field or a member is not there.
	ErrNotFound = errors.New("kv: not found")
	// ErrWrongType says that the key holds a value of another type.
	ErrWrongType = errors.New("kv: the key holds a value of another type")
	// ErrClosed says that the database has been closed.
	ErrClosed = errors.New("kv: the database is closed")
	// ErrOutOfMemory says that MaxMemory is reached and nothing may be evicted.
	ErrOutOfMemory = errors.New("kv: out of memory")
	// ErrInvalidOption says that one of the Options, or one of the Settings, has no such value.
	ErrInvalidOption = errors.New("kv: invalid option")
	// ErrNotSaved says that the write cannot be kept: the disk is full or has failed. Its outcome is unknown.
	ErrNotSaved = errors.New("kv: the log cannot be written")
)

// Error is an error that a command has replied.
type Error struct {
	Text string // as Redis words it: "ERR value is not an integer or out of range"
	kind error
}

// Error implements error.
func (e *Error) Error() string { return "kv: " + strings.TrimPrefix(e.Text, "ERR ") }

// Unwrap returns ErrWrongType and its like, where the error is one of them.
func (e *Error) Unwrap() error { return e.kind }

func replied(text string) error {
	e := &Error{Text: text}
	code, _, _ := strings.Cut(text, " ")
	switch code {
	case "WRONGTYPE":
		e.kind = ErrWrongType
	case "OOM":
		e.kind = ErrOutOfMemory
	case "MISCONF":
		e.kind = ErrNotSaved
	}
	return e
}
