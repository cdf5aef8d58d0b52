package queue

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/zmsg/zmsg/model"
)

// tombstonePage is how many rows one statement looks at.
const tombstonePage = 1000

// collect removes what SQL need not remember any more: the rows of items deleted long ago, and old
// idempotency keys. One replica does so for all.
func (d *Drainer) collect(ctx context.Context) {
	tick := time.NewTicker(d.cfg.TombstonePeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !d.table.Leads() {
			continue
		}
		if err := d.removeTombstones(ctx, time.Now().Add(-d.cfg.TombstoneRetention)); err != nil && ctx.Err() == nil {
			d.log.Warn("could not remove the rows of deleted items", zap.Error(err))
		}
		if _, err := d.keys.Expire(ctx, time.Now().Add(-keyLife*d.cfg.IdempotencyTTL)); err != nil && ctx.Err() == nil {
			d.log.Warn("could not remove old idempotency keys", zap.Error(err))
		}
	}
}

// keyLife is how many times IdempotencyTTL keys stay in SQL: as long as they may in Redis. A stream that
// comes back must not find that SQL has forgotten what it holds.
const keyLife = 2

// removeTombstones removes rows of items deleted before olderThan. A row whose version the position has
// not passed stays: an older write may still be queued, and the row is what refuses it.
func (d *Drainer) removeTombstones(ctx context.Context, olderThan time.Time) error {
	var after model.ID
	for {
		page, err := d.rows.Tombstones(ctx, olderThan, after, tombstonePage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		var passed []model.Tombstone
		for _, t := range page {
			after = t.ID
			if t.Version <= d.table.Position(d.space.Shard(t.ID)) {
				passed = append(passed, t)
			}
		}
		if _, err := d.rows.RemoveTombstones(ctx, passed); err != nil {
			return err
		}
	}
}
