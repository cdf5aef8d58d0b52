package queue

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/zmsg/zmsg/model"
)

// tombstonePage is how many rows one statement looks at.
const tombstonePage = 1000

// collectTombstones removes the rows of items deleted long ago. A row whose version the position has
// not passed stays: an older write may still be queued, and the row is what refuses it.
func (d *Drainer) collectTombstones(ctx context.Context) {
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
	}
}

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
