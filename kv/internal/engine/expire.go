package engine

import (
	"time"

	"github.com/zmsg/zmsg/kv/internal/table"
)

// Active expiry removes due keys in slices of expireSlice keys, for at most expireShare of each tenth of a
// second: a burst of due keys costs commands at most a quarter of the time.
const (
	expireSlice = 200
	expireShare = 25 * time.Millisecond
)

var delName = []byte("DEL")

// expire removes a key whose time has run out.
func (k *Keyspace) expire(key []byte) {
	en := k.t.Find(key)
	k.leaving(en)
	k.t.Delete(key)
	k.removedByEngine(en.Key(), EventExpired, "expired")
	k.e.stats.Expired++
}

// removedByEngine tells of a key that no command has removed.
func (k *Keyspace) removedByEngine(key []byte, class Class, event string) {
	e := k.e
	e.unitBegin()
	e.log(k.index, [][]byte{delName, key})
	e.dirtyOutside()
	if len(k.watched) > 0 {
		k.touch(string(key))
	}
	if len(k.waiting) > 0 {
		k.signal(key)
	}
	e.Notify(k, class, event, key)
	e.unitEnd()
}

// dirtyOutside counts a change that the running command did not make: that is logged by itself, and must
// not get a reading command logged.
func (e *Engine) dirtyOutside() { e.saved-- }

// expireSome removes up to about n due keys. It reports whether there may be more.
func (e *Engine) expireSome(n int) (more bool) {
	for _, k := range e.spaces {
		if k.expires == 0 {
			continue
		}
		left := k.t.Expire(e.Now(), n, func(en *table.Entry) { k.expire(en.Key()) })
		more = more || left
	}
	if len(e.ready) > 0 {
		e.serveReady()
	}
	return more
}

// Expire removes the key if its time has run out.
func (k *Keyspace) Expire(key []byte) { k.Peek(key) }
