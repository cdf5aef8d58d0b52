package aof

import (
	"errors"
	"fmt"
	"io"
)

// Unit is what is kept or lost as a whole: one command, or those of a transaction.
type Unit struct {
	Commands [][][]byte
	Start    int64 // offset in the file
}

const (
	multiName = "multi"
	execName  = "exec"
)

// NextUnit returns the next command or transaction, without MULTI and EXEC. It is valid until the following
// call. Errors are those of Next; their offset is where the unit starts.
func (r *Reader) NextUnit() (Unit, error) {
	args, err := r.Next()
	if err != nil {
		return Unit{}, err
	}
	u := Unit{Start: r.start}
	switch {
	case len(args) == 1 && is(args[0], execName):
		return Unit{}, &Error{File: r.name, Offset: u.Start, Kind: ErrDamaged, Reason: "EXEC without MULTI"}
	case len(args) != 1 || !is(args[0], multiName):
		r.single[0] = args
		u.Commands = r.single[:]
		return u, nil
	}
	for {
		args, err := r.Next()
		if err != nil {
			return Unit{}, r.inTransaction(u.Start, err)
		}
		switch {
		case len(args) == 1 && is(args[0], execName):
			return u, nil
		case len(args) == 1 && is(args[0], multiName):
			return Unit{}, &Error{File: r.name, Offset: u.Start, Kind: ErrDamaged, Reason: "MULTI in a transaction"}
		}
		u.Commands = append(u.Commands, clone(args))
	}
}

// inTransaction says that a transaction is not whole because of err.
func (r *Reader) inTransaction(start int64, err error) error {
	e := &Error{File: r.name, Offset: start, Kind: ErrTorn, Reason: "MULTI without EXEC"}
	if errors.Is(err, io.EOF) {
		return e
	}
	var inner *Error
	if errors.As(err, &inner) {
		e.Kind = inner.Kind
		e.Reason = fmt.Sprintf("in the transaction, at offset %d", inner.Offset)
		if inner.Reason != "" {
			e.Reason += ": " + inner.Reason
		}
	}
	return e
}

// is compares a command's name, in any case, with one in lower case.
func is(arg []byte, name string) bool {
	if len(arg) != len(name) {
		return false
	}
	for i, c := range arg {
		if c|0x20 != name[i] {
			return false
		}
	}
	return true
}

func clone(args [][]byte) [][]byte {
	size := 0
	for _, a := range args {
		size += len(a)
	}
	flat := make([]byte, 0, size)
	own := make([][]byte, len(args))
	for i, a := range args {
		flat = append(flat, a...)
		own[i] = flat[len(flat)-len(a) : len(flat) : len(flat)]
	}
	return own
}
