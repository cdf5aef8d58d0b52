package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/model"
)

// verifyCounts reads every counter from every replica, and compares the values with the record.
func (d *demo) verifyCounts(ctx context.Context) (int, error) {
	finals := d.tally.finals()
	batches := (len(finals) + verifySize - 1) / verifySize
	d.values = make([][]int64, len(d.api.bases))
	for i := range d.values {
		d.values[i] = make([]int64, len(finals))
	}
	err := inParallel(ctx, d.opts.workers, batches*len(d.api.bases), func(ctx context.Context, i int) error {
		replica, first := i/batches, i%batches*verifySize
		part := finals[first:min(first+verifySize, len(finals))]
		names := make([]model.Counter, len(part))
		for i := range part {
			names[i] = part[i].Counter
		}
		values, err := d.api.counts(ctx, replica, names)
		if err != nil {
			return err
		}
		compareCounts(d.report, fmt.Sprintf("replica %d", replica), part, values)
		copy(d.values[replica][first:], values)
		return nil
	})
	return len(finals) * len(d.api.bases), err
}

// compareCounts reports values that cannot be.
func compareCounts(r *report, where string, finals []final, values []int64) {
	for i, f := range finals {
		if v := values[i]; v < f.low || v > f.high {
			r.wrong(where, "counter "+f.String(), "is %d, must be %s", v, f.span())
		}
	}
}

// span prints what a counter may be.
func (f *final) span() string {
	if f.low == f.high {
		return fmt.Sprint(f.low)
	}
	return fmt.Sprintf("from %d to %d", f.low, f.high)
}

// verifySQLCounts waits until SQL holds the values that the replicas serve, and reports what differs if
// that does not come. All must agree on one value also where the record allows several.
func (d *demo) verifySQLCounts(ctx context.Context) (int, error) {
	deadline := time.Now().Add(drainLimit)
	finals := d.tally.finals()
	for {
		rows, err := loadCounts(ctx, d.opts.dsn, d.tally.prefix)
		if err != nil {
			return 0, err
		}
		found := newReport(io.Discard)
		compareSQLCounts(found, finals, d.values, rows)
		if found.mismatches == 0 {
			return len(finals), nil
		}
		if time.Now().After(deadline) {
			d.report.say("SQL and the replicas differ after %v", drainLimit)
			compareSQLCounts(d.report, finals, d.values, rows)
			return len(finals), nil
		}
		if err := pause(ctx, countPoll); err != nil {
			return 0, err
		}
	}
}

// countPoll is longer than that of items: it reads all counters.
const countPoll = 250 * time.Millisecond

// loadCounts returns the counters that SQL holds of subjects with this prefix.
func loadCounts(ctx context.Context, dsn, prefix string) (_ map[model.Counter]int64, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	rows, err := conn.Query(ctx, `SELECT subject, metric, value FROM counters WHERE starts_with(subject, $1)`, prefix)
	if err != nil {
		return nil, err
	}
	all := map[model.Counter]int64{}
	var c model.Counter
	var value int64
	_, err = pgx.ForEachRow(rows, []any{&c.Subject, &c.Metric, &value}, func() error {
		all[c] = value
		return nil
	})
	return all, err
}

// compareSQLCounts reports rows that are not what the record allows or the replicas serve, and those of
// counters that nobody wrote. It empties rows. A counter without a row is 0.
func compareSQLCounts(r *report, finals []final, values [][]int64, rows map[model.Counter]int64) {
	for i, f := range finals {
		row := rows[f.Counter]
		delete(rows, f.Counter)
		if row < f.low || row > f.high {
			r.wrong("SQL", "counter "+f.String(), "is %d, must be %s", row, f.span())
		}
		for replica := range values {
			if v := values[replica][i]; v != row {
				r.wrong("SQL", "counter "+f.String(), "is %d, replica %d says %d", row, replica, v)
			}
		}
	}
	for c, row := range rows {
		if row != 0 {
			r.wrong("SQL", "counter "+c.String(), "is %d, and nobody wrote it", row)
		}
	}
}
