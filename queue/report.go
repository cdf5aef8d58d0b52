package queue

import "github.com/zmsg/zmsg/model"

// Report tells how each shard stands, as this replica knows it: it asks nobody.
func (b *Backlog) Report() []model.ShardReport {
	seen, alive := b.seen.Load(), b.table.Alive()
	list := make([]model.ShardReport, len(seen.shards))
	for s, p := range seen.shards {
		r := model.ShardReport{
			Shard: s, Counters: b.space.IsCounter(s), Home: "none", Position: b.table.Position(s),
			Backlog: p.writes, Bytes: p.bytes, Lag: p.age(), RedisOut: b.table.Away(s),
		}
		if len(alive) > 0 {
			r.Drainer = alive[s%len(alive)]
		}
		switch epoch, home := b.table.Home(s); {
		case epoch == 0: // it moves
		case home == model.HomeSQL:
			r.Home, r.Epoch = home, epoch
		default:
			r.Home, r.Process, r.Epoch = "redis", home, epoch
		}
		list[s] = r
	}
	return list
}
