package handlers

import (
	"context"
	"time"

	"github.com/go-chi/chi/v5"
)

// Routes lets the tests compare the routes with the contract.
func (h *Handler) Routes() chi.Routes { return h.mux }

// NewDeadline makes the context of a request and the function that ends it.
func NewDeadline(parent context.Context, at time.Time) (context.Context, func()) {
	d := newDeadline(parent, at)
	return d, d.stop
}
