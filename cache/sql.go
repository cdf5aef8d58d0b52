package cache

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// sqlReads are the reads that requests make of SQL. While SQL is known to be away they fail at once, and
// one that it does not answer ends after the timeout: waiting would hold connections and flights that L2
// could answer from.
type sqlReads struct {
	Store
	table   *shards.Table
	timeout time.Duration
	sent    prometheus.Counter
}

// begin is called before each statement. It bounds the context, which the caller must cancel.
func (s sqlReads) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if s.table.SQLDown() {
		return nil, nil, model.NewUnavailable("the database is out of reach", nil)
	}
	s.sent.Inc()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	return ctx, cancel, nil
}

func (s sqlReads) Get(ctx context.Context, id model.ID) (model.Item, error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return model.Item{}, err
	}
	defer cancel()
	return s.Store.Get(ctx, id)
}

func (s sqlReads) GetMany(ctx context.Context, ids []model.ID) ([]model.Item, error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return s.Store.GetMany(ctx, ids)
}

func (s sqlReads) ListByAuthors(ctx context.Context, authors []model.ID, before model.ID, limit int) ([]model.Item, error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return s.Store.ListByAuthors(ctx, authors, before, limit)
}
