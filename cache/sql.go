package cache

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// sqlReads are the reads that requests make of SQL. While SQL is known to be away they fail at once:
// waiting would hold connections and flights that L2 could answer from.
type sqlReads struct {
	Store
	table *shards.Table
	sent  prometheus.Counter
}

// begin is called before each statement.
func (s sqlReads) begin() error {
	if s.table.SQLDown() {
		return model.NewUnavailable("the database is out of reach", nil)
	}
	s.sent.Inc()
	return nil
}

func (s sqlReads) Get(ctx context.Context, id model.ID) (model.Item, error) {
	if err := s.begin(); err != nil {
		return model.Item{}, err
	}
	return s.Store.Get(ctx, id)
}

func (s sqlReads) GetMany(ctx context.Context, ids []model.ID) ([]model.Item, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	return s.Store.GetMany(ctx, ids)
}

func (s sqlReads) ListByAuthors(ctx context.Context, authors []model.ID, before model.ID, limit int) ([]model.Item, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	return s.Store.ListByAuthors(ctx, authors, before, limit)
}
