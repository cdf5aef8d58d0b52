package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/model"
)

// Shards keeps where each shard's writes are taken, and which replicas may take them.
//
// A replica's permission to use Redis under an epoch ends ttl after it asked for its heartbeat, on
// its own clock. A claim ends an epoch and must tell how long such permissions may still last. Two
// locks make that answer right:
//
//   - A heartbeat announces its new alive_until first, then reads the epochs with FOR KEY SHARE. A
//     claim takes the rows FOR UPDATE, which conflicts, before it changes an epoch and reads
//     alive_until. So a heartbeat that returns the old epoch has committed its alive_until before
//     the claim reads it; any other waits for the claim and returns the new epoch.
//   - Position updates take FOR NO KEY UPDATE: they conflict with claims, so that no round of an
//     ended epoch commits after the claim, but not with heartbeats.
//   - Direct transactions take FOR KEY SHARE: a claim waits for those under way, and those that wait
//     for the claim find the epoch ended.
//
// The claim compares times of one server's clock. If a standby takes over whose clock is ahead, the
// answer is too short by the difference: the caller adds a margin if that is to be feared.
type Shards struct {
	db *DB
}

// Shards returns the state of the shards.
func (db *DB) Shards() *Shards { return &Shards{db: db} }

const shardColumns = "shard, epoch, home, ready, opener, position, skipped"

// Init creates total shards at the first start, of which the first items hold items and the others
// counters. If the database was set up when there were no counters, it adds those. Later it only
// compares: another number is an error, because keys would move between shards.
func (s *Shards) Init(ctx context.Context, items, total int) error {
	want := sizes{Items: items, Counters: total - items}
	var have sizes
	if err := have.scan(s.db.control.QueryRow(ctx, countShards)); err != nil {
		return translate(err)
	}
	if have.Counters == 0 && have != want {
		var err error
		if have, err = s.create(ctx, want); err != nil {
			return err
		}
	}
	if have != want {
		return model.NewInvalid("ZMSG_QUEUE_SHARDS", fmt.Sprintf(
			"is %d (and %d for counters), but this database was set up with %d (and %d for counters), which cannot be changed",
			want.Items, want.Counters, have.Items, have.Counters))
	}
	return nil
}

// sizes are the numbers of shards.
type sizes struct{ Items, Counters int }

const countShards = "SELECT count(*) FILTER (WHERE NOT counters), count(*) FILTER (WHERE counters) FROM shards"

func (n *sizes) scan(row pgx.Row) error { return row.Scan(&n.Items, &n.Counters) }

// addShards adds item shards if there are none at all, and counter shards if just those are missing.
const addShards = `
INSERT INTO shards (shard, counters)
SELECT n, n >= $1
FROM (SELECT count(*) FROM shards) AS have (shards), generate_series(have.shards, $1::integer + $2::integer - 1) AS n
WHERE have.shards = 0 OR have.shards = $1 AND NOT EXISTS (SELECT FROM shards WHERE counters)`

// create makes the shards that are missing, unless others are there, and returns how many there are.
// The lock lets one replica do so, even when others want other numbers.
func (s *Shards) create(ctx context.Context, want sizes) (sizes, error) {
	var have sizes
	err := s.db.transact(ctx, func(b *pgx.Batch) {
		b.Queue("LOCK TABLE shards IN SHARE ROW EXCLUSIVE MODE")
		b.Queue(addShards, want.Items, want.Counters)
		b.Queue(countShards).QueryRow(have.scan)
	})
	return have, err
}

// GREATEST: what was promised earlier may not be taken back by a clock that steps, or by a shorter ttl.
const renew = `
INSERT INTO replicas (replica, started_at, alive_until, sees, settled)
VALUES ($1, clock_timestamp(), clock_timestamp() + $2::interval, $3, $4)
ON CONFLICT (replica) DO UPDATE SET
	alive_until = GREATEST(replicas.alive_until, excluded.alive_until), sees = excluded.sees, settled = excluded.settled`

// removeDead leaves a long margin: as long as a row is there, claims know of the replica.
const removeDead = `
DELETE FROM replicas WHERE replica IN (
	SELECT replica FROM replicas WHERE alive_until < clock_timestamp() - interval '1 hour' FOR UPDATE SKIP LOCKED
)`

// Heartbeat renews the replica's permission, from before the call on, and returns the state of all
// shards and the replicas whose permission lasts. What the replica sees, and where it has settled, is
// for the claims of all.
func (s *Shards) Heartbeat(ctx context.Context, beat model.Beat) (model.Heartbeat, error) {
	sees, settled := beat.Sees, beat.Settled
	if sees == nil {
		sees = []string{} // nil would be NULL
	}
	if settled == nil {
		settled = []int64{}
	}
	var h model.Heartbeat
	err := s.db.transact(ctx, func(b *pgx.Batch) {
		b.Queue(renew, beat.Replica, beat.TTL, sees, settled)
		b.Queue(removeDead)
		b.Queue("SELECT " + shardColumns + " FROM shards ORDER BY shard FOR KEY SHARE").
			Query(collect(&h.Shards, pgx.RowToStructByPos[model.Shard]))
		b.Queue(`SELECT replica FROM replicas WHERE alive_until > clock_timestamp() ORDER BY replica COLLATE "C"`).
			Query(collect(&h.Alive, pgx.RowTo[string]))
	})
	if err != nil {
		return model.Heartbeat{}, err
	}
	return h, nil
}

// All returns the state of all shards, by number.
func (s *Shards) All(ctx context.Context) ([]model.Shard, error) {
	rows, err := s.db.control.Query(ctx, "SELECT "+shardColumns+" FROM shards ORDER BY shard")
	if err != nil {
		return nil, translate(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[model.Shard])
	return all, translate(err)
}

// Leave ends the replica's permission, which it must not use any more.
func (s *Shards) Leave(ctx context.Context, replica string) error {
	_, err := s.db.control.Exec(ctx, "DELETE FROM replicas WHERE replica = $1", replica)
	return translate(err)
}

// claim decides by a count of the living replicas, the claimant among them. Whoever wants to leave a
// home for SQL does not reach it; whoever wants to go to a Redis process reaches it.
//
//   - A shard goes to a Redis process only if more than half of the replicas reach that one. So there is
//     one such process at most, and no shard is taken from a home that most still reach: it is not lost,
//     the replicas have been given different servers, or a failover is under way.
//   - A shard goes to SQL only if no more than half reach its home: one replica of many that is cut off
//     must not move everybody.
//   - These are one rule read both ways. What has just let a shard go to SQL refuses its way back, and
//     the other way round, so that it moves only when what the replicas reach has changed.
//   - The same Redis process again changes nothing for the others, and needs nobody's consent.
//
// A shard that was never opened has the home ”, as has a replica in sees that reaches none: nobody
// reaches that home.
const claim = `
UPDATE shards AS s SET epoch = s.epoch + 1, home = c.home, ready = false, opener = $4
FROM unnest($1::integer[], $2::bigint[], $3::text[]) AS c (shard, epoch, home)
JOIN shards AS present USING (shard)
CROSS JOIN LATERAL (
	SELECT
		1 + count(*) AS living,
		count(*) FILTER (WHERE r.sees[c.shard + 1] = NULLIF(present.home, '')) AS reach_present,
		1 + count(*) FILTER (WHERE r.sees[c.shard + 1] = c.home) AS reach_target
	FROM replicas AS r
	WHERE r.replica <> $4 AND r.alive_until > clock_timestamp()
) AS replicas
WHERE s.shard = c.shard AND s.epoch = c.epoch AND CASE
	WHEN c.home = '` + model.HomeSQL + `' THEN 2 * reach_present <= living
	ELSE c.home = s.home OR 2 * reach_target > living
END
RETURNING s.shard, s.epoch, s.home, s.ready, s.opener, s.position, s.skipped`

// othersLast ignores the NULL of "no others", as GREATEST does.
const othersLast = `
SELECT GREATEST(max(alive_until) - clock_timestamp(), interval '0') FROM replicas WHERE replica <> $1`

// Claim begins a new epoch, not ready, for every claim whose epoch is still the one in SQL, if the
// replicas that live reach what the claim's home demands: to leave a home for SQL, half of them or fewer
// reach it; to go to a Redis process that is not the home yet, more than half reach that one. It returns
// those shards, and how long the permissions of other replicas for older epochs may last, from the
// return on.
//
// It waits for direct transactions under way: what is read after it holds all that was done under older
// epochs in SQL.
func (s *Shards) Claim(ctx context.Context, replica string, claims []model.Claim) ([]model.Shard, time.Duration, error) {
	n := len(claims)
	shards, epochs, homes := make([]int32, n), make([]int64, n), make([]string, n)
	for i, c := range claims {
		shards[i], epochs[i], homes[i] = int32(c.Shard), c.Epoch, c.Home
	}
	var claimed []model.Shard
	var wait time.Duration
	err := s.db.transact(ctx, func(b *pgx.Batch) {
		b.Queue(endDirect, lockShard, slices.Sorted(slices.Values(shards)))
		b.Queue("SELECT FROM shards WHERE shard = ANY($1) ORDER BY shard FOR UPDATE", shards)
		b.Queue(claim, shards, epochs, homes, replica).Query(collect(&claimed, pgx.RowToStructByPos[model.Shard]))
		b.Queue(othersLast, replica).QueryRow(func(row pgx.Row) error { return row.Scan(&wait) })
	})
	if err != nil {
		return nil, 0, err
	}
	return claimed, wait, nil
}

const unsettled = `
SELECT EXISTS (
	SELECT FROM replicas AS r, unnest($2::integer[], $3::bigint[]) AS c (shard, epoch)
	WHERE r.replica <> $1 AND r.alive_until > clock_timestamp() AND COALESCE(r.settled[c.shard + 1], 0) < c.epoch
)`

// Unsettled reports whether another living replica has not settled yet in the claimed epoch of any of
// the shards: it may still have writes of older epochs of its own to bring to SQL.
func (s *Shards) Unsettled(ctx context.Context, replica string, claimed []model.Shard) (bool, error) {
	n := len(claimed)
	shards, epochs := make([]int32, n), make([]int64, n)
	for i, c := range claimed {
		shards[i], epochs[i] = int32(c.Shard), c.Epoch
	}
	var is bool
	err := s.db.control.QueryRow(ctx, unsettled, replica, shards, epochs).Scan(&is)
	return is, translate(err)
}

const confirm = `
UPDATE shards AS s SET ready = true, direct = CASE WHEN s.home = '` + model.HomeSQL + `' THEN s.epoch ELSE s.direct END
FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::text[], $5::bigint[]) AS c (shard, epoch, home, opener, position)
WHERE s.shard = c.shard AND s.epoch = c.epoch AND s.home = c.home AND s.opener = c.opener AND s.position = c.position
RETURNING s.shard`

// Confirm makes those claimed shards ready whose epoch, home, opener and position are as given, and
// returns them. It may be repeated.
func (s *Shards) Confirm(ctx context.Context, claimed []model.Shard) ([]int, error) {
	n := len(claimed)
	shards, homes, openers := make([]int32, n), make([]string, n), make([]string, n)
	epochs, positions := make([]int64, n), make([]int64, n)
	for i, c := range claimed {
		shards[i], epochs[i], homes[i], openers[i], positions[i] = int32(c.Shard), c.Epoch, c.Home, c.Opener, int64(c.Position)
	}
	var confirmed []int
	err := s.db.transact(ctx, func(b *pgx.Batch) {
		b.Queue(lockToMove, shards)
		b.Queue(confirm, shards, epochs, homes, openers, positions).Query(collect(&confirmed, pgx.RowTo[int]))
	})
	if err != nil {
		return nil, err
	}
	return confirmed, nil
}
