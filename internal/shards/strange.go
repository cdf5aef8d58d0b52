package shards

import (
	"time"

	"go.uber.org/zap"

	"github.com/zmsg/zmsg/model"
)

// strange is a home that this replica cannot take shards from, and does not reach.
type strange struct {
	home  string // HomeSQL: most replicas do not reach the Redis that this one reaches
	since time.Time
	told  bool
}

// StrangeHome returns the home from which this replica cannot take shards because most others do not see
// the Redis that it sees, "" if there is none: HomeSQL, or the Redis process that they see. A restart or a
// failover looks so for a moment, which does not count.
func (k *Keeper) StrangeHome() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.strange.told {
		return k.strange.home
	}
	return ""
}

// setStrange keeps the strange home, "" for none, and tells of it once it has lasted.
func (k *Keeper) setStrange(home, mine string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if home != k.strange.home {
		k.strange = strange{home: home, since: time.Now()}
	}
	if home == "" || k.strange.told || time.Since(k.strange.since) < 2*k.cfg.Permission {
		return
	}
	k.strange.told = true
	k.Log.Error("most replicas do not reach the Redis that this one reaches; all must be given the same",
		zap.String("home", home), zap.String("mine", mine))
}

// estranged reports whether the others have kept a Redis that this replica does not reach for so long that
// it is no failover. The shards then go to SQL, which all of them reach, if the others allow it.
func (k *Keeper) estranged() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.strange.home != "" && k.strange.home != model.HomeSQL && time.Since(k.strange.since) >= k.cfg.Permission
}
