package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/zmsg/zmsg/model"
)

// translate makes an error of the driver one of the model. It is applied once, where an exported
// method returns.
func translate(err error) error {
	var known *model.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	switch kind := kindOf(err); kind {
	case model.Unavailable:
		return model.NewUnavailable("the database is not available", err)
	case model.Invalid:
		return &model.Error{Kind: kind, Message: "the database refuses the value", Cause: err}
	default:
		return &model.Error{Kind: kind, Message: "the database failed", Cause: err}
	}
}

// kindOf sorts by SQLSTATE. What is not an answer of the server is trouble with the connection, or
// a context that ended, unless it is a defect of a query of ours.
func kindOf(err error) model.Kind {
	// First, because they may wrap an answer of the server, such as a refused login.
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return model.Unavailable
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return kindOfState(answer.Code)
	}
	var scan pgx.ScanArgError
	if errors.As(err, &scan) || errors.Is(err, pgx.ErrNoRows) || errors.Is(err, pgx.ErrTooManyRows) {
		return model.Internal
	}
	return model.Unavailable
}

// The SQLSTATEs outside the classes that kindOfState knows.
const (
	readOnlyTransaction = "25006" // a standby answers: the database has failed over
	idleInTransaction   = "25P03" // we stalled, and the server rolled back
	lockNotAvailable    = "55P03"
	failedTransaction   = "25P02" // what failed is an earlier statement of it
)

func kindOfState(code string) model.Kind {
	switch code {
	case readOnlyTransaction, idleInTransaction, lockNotAvailable, failedTransaction:
		return model.Unavailable
	}
	switch code[:min(2, len(code))] {
	case "08", // connection
		"40", // deadlock, serialization
		"53", // resources
		"57", // shutdown, cancellation
		"58": // system
		return model.Unavailable
	case "22", // data
		"23", // constraints
		"44", // a view's condition
		"54", // limits of the program
		"P0": // raised by a function
		return model.Invalid
	}
	return model.Internal
}

// dataError reports whether the error is about the values that were sent, so that the same call would fail
// again, and others would not. Everything else is trouble that passes, or is mended by somebody.
func dataError(err error) bool { return err != nil && kindOf(err) == model.Invalid }
