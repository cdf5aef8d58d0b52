package shards

import "strings"

// Memory is how a Redis process stands with its memory.
type Memory struct {
	Policy string // what it evicts at its limit, such as "noeviction"
	Used   int64  // bytes
	Limit  int64  // bytes; 0: none
}

// Full returns the share of the limit that is used, 0 if there is no limit.
func (m Memory) Full() float64 {
	if m.Limit == 0 {
		return 0
	}
	return float64(m.Used) / float64(m.Limit)
}

// Evicts reports whether the policy may take queued writes, which have no TTL.
func (m Memory) Evicts() bool { return strings.HasPrefix(m.Policy, "allkeys-") }

// Memory returns how Redis stands, as last seen; its Policy is "" before the first look. Of several
// processes it tells of the worst.
func (k *Keeper) Memory() Memory {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.memory
}
