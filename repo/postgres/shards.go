package postgres

import (
	"context"
	"fmt"
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
//
// The claim compares times of one server's clock. If a standby takes over whose clock is ahead, the
// answer is too short by the difference: the caller adds a margin if that is to be feared.
type Shards struct {
	db *DB
}

// Shards returns the state of the shards.
func (db *DB) Shards() *Shards { return &Shards{db: db} }

const shardColumns = "shard, epoch, home, ready, opener, position"

// Init creates n shards at the first start. Later it only compares: another number is an error,
// because keys would move between shards.
func (s *Shards) Init(ctx context.Context, n int) error {
	have, err := s.count(ctx)
	if err != nil {
		return err
	}
	if have == 0 {
		if have, err = s.create(ctx, n); err != nil {
			return err
		}
	}
	if have != n {
		return model.NewInvalid("QUEUE_SHARDS",
			fmt.Sprintf("is %d, but this database was set up with %d shards, which cannot be changed", n, have))
	}
	return nil
}

func (s *Shards) count(ctx context.Context) (int, error) {
	var n int
	err := s.db.control.QueryRow(ctx, "SELECT count(*) FROM shards").Scan(&n)
	return n, translate(err)
}

// create makes n shards unless there are any, and returns how many there are. The lock lets one
// replica do so, even when others want another number.
func (s *Shards) create(ctx context.Context, n int) (int, error) {
	var have int
	err := s.db.transact(ctx, func(b *pgx.Batch) {
		b.Queue("LOCK TABLE shards IN SHARE ROW EXCLUSIVE MODE")
		b.Queue("INSERT INTO shards (shard) SELECT generate_series(0, $1::integer - 1) WHERE NOT EXISTS (SELECT FROM shards)", n)
		b.Queue("SELECT count(*) FROM shards").QueryRow(func(row pgx.Row) error { return row.Scan(&have) })
	})
	return have, err
}

// GREATEST: what was promised earlier may not be taken back by a clock that steps, or by a shorter ttl.
const renew = `
INSERT INTO replicas (replica, started_at, alive_until, sees)
VALUES ($1, clock_timestamp(), clock_timestamp() + $2::interval, $3)
ON CONFLICT (replica) DO UPDATE SET
	alive_until = GREATEST(replicas.alive_until, excluded.alive_until), sees = excluded.sees`

// removeDead leaves a long margin: as long as a row is there, claims know of the replica.
const removeDead = `
DELETE FROM replicas WHERE replica IN (
	SELECT replica FROM replicas WHERE alive_until < clock_timestamp() - interval '1 hour' FOR UPDATE SKIP LOCKED
)`

// Heartbeat renews the replica's permission for ttl, from before the call on, and returns the state
// of all shards and the replicas whose permission lasts. sees are the Redis masters that the replica
// reaches.
func (s *Shards) Heartbeat(ctx context.Context, replica string, ttl time.Duration, sees ...string) (model.Heartbeat, error) {
	if sees == nil {
		sees = []string{} // nil would be NULL
	}
	var h model.Heartbeat
	err := s.db.transact(ctx, func(b *pgx.Batch) {
		b.Queue(renew, replica, ttl, sees)
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

const claim = `
UPDATE shards AS s SET epoch = s.epoch + 1, home = c.home, ready = false, opener = $4
FROM unnest($1::integer[], $2::bigint[], $3::text[]) AS c (shard, epoch, home)
WHERE s.shard = c.shard AND s.epoch = c.epoch AND (s.home = c.home OR NOT EXISTS (
	SELECT FROM replicas AS r WHERE r.replica <> $4 AND r.alive_until > clock_timestamp() AND s.home = ANY (r.sees)
))
RETURNING s.shard, s.epoch, s.home, s.ready, s.opener, s.position`

// othersLast ignores the NULL of "no others", as GREATEST does.
const othersLast = `
SELECT GREATEST(max(alive_until) - clock_timestamp(), interval '0') FROM replicas WHERE replica <> $1`

// Claim begins a new epoch, not ready, for every claim whose epoch is still the one in SQL, unless it
// takes the shard from a home that another living replica still reaches: that one is not lost, the two
// replicas have been given different servers, or a failover is under way. It
// returns those shards, and how long the permissions of other replicas for older epochs may last, from
// the return on.
func (s *Shards) Claim(ctx context.Context, replica string, claims []model.Claim) ([]model.Shard, time.Duration, error) {
	n := len(claims)
	shards, epochs, homes := make([]int32, n), make([]int64, n), make([]string, n)
	for i, c := range claims {
		shards[i], epochs[i], homes[i] = int32(c.Shard), c.Epoch, c.Home
	}
	var claimed []model.Shard
	var wait time.Duration
	err := s.db.transact(ctx, func(b *pgx.Batch) {
		b.Queue("SELECT FROM shards WHERE shard = ANY($1) ORDER BY shard FOR UPDATE", shards)
		b.Queue(claim, shards, epochs, homes, replica).Query(collect(&claimed, pgx.RowToStructByPos[model.Shard]))
		b.Queue(othersLast, replica).QueryRow(func(row pgx.Row) error { return row.Scan(&wait) })
	})
	if err != nil {
		return nil, 0, err
	}
	return claimed, wait, nil
}

const confirm = `
UPDATE shards AS s SET ready = true
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
