package engine

import (
	"strconv"
	"time"
)

// Journal keeps what has been executed, in order.
type Journal interface {
	// Append adds encoded commands, which it copies, and returns where the log ends with them. It is
	// called under the engine's lock and does not block.
	Append(p []byte) (end int64)
	// Commit returns when the log up to upTo is as safe as its policy says: written, or, under "always",
	// synced. It is called without the engine's lock; many callers share one write.
	Commit(upTo int64) error
	// Sync returns when the log up to upTo has been synced, whatever the policy.
	Sync(upTo int64) error
	// Err says why writes must be refused, or nil.
	Err() error
}

// Persistence is what keeps the database in files, as commands ask for it. Its methods are called under
// the engine's lock.
type Persistence interface {
	// Save writes a snapshot before it returns.
	Save() error
	// StartSave and StartRewrite begin a snapshot or a rewrite of the log in the background. They return
	// an error, worded as Redis does, if one is going on; scheduled says that it will follow that.
	StartSave(schedule bool) (scheduled bool, err error)
	StartRewrite() (scheduled bool, err error)
	// SetAppend turns the log on or off.
	SetAppend(on bool) error
	// Status returns INFO's fields of persistence, in order.
	Status() []Field
}

// Field is a name with its value, as INFO shows it.
type Field struct{ Name, Value string }

// SetJournal sets where changes are logged; nil is nowhere. Needs the lock.
func (e *Engine) SetJournal(j Journal) {
	e.journal = j
	e.commits.Store(nil)
	// What a running transaction has done so far is not for another log, whose snapshot has it.
	e.unit.buf, e.unit.entries, e.unit.db = e.unit.buf[:0], 0, -1
	if j == nil {
		e.unit.end = 0
	} else {
		e.commits.Store(&j)
		e.unit.end = j.Append(nil)
	}
}

// Journal returns where changes are logged, or nil.
func (e *Engine) Journal() Journal { return e.journal }

// RestartLog has the next entry of the log select its database: the log goes on in another file. Needs the
// lock.
func (e *Engine) RestartLog() { e.unit.db = -1 }

// SetPersistence sets what SAVE and its like call. Needs the lock.
func (e *Engine) SetPersistence(p Persistence) { e.persist = p }

// Persistence returns what SAVE and its like call, or nil.
func (e *Engine) Persistence() Persistence { return e.persist }

// MarkSaved notes that a snapshot, which has been written at a time, has all changes up to dirty.
func (e *Engine) MarkSaved(dirty int64, at time.Time) { e.saved, e.savedAt = dirty, at }

// SaveFailed notes whether the last snapshot could not be written: with save points that refuses writes, as
// stop-writes-on-bgsave-error says. Needs the lock.
func (e *Engine) SaveFailed(failed bool) { e.saveFailed = failed }

const errSaveFailed = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. " +
	"Commands that may modify the data set are disabled, because this instance is configured to report errors during " +
	"writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details " +
	"about the RDB error."

// LastSave is when the last snapshot was written, or the start.
func (e *Engine) LastSave() time.Time { return e.savedAt }

// LogEnd is where the log ends.
func (e *Engine) LogEnd() int64 { return e.unit.end }

// Unsaved is the number of changes since the last snapshot.
func (e *Engine) Unsaved() int64 { return e.dirty - e.saved }

// unit gathers what the log gets of one command, one transaction or one script, which it must keep or
// lose as a whole.
type unit struct {
	open    int // nesting: a script in a transaction
	entries int
	buf     []byte
	db      int // the database that the log has selected; -1 is none
	rewrite rewriting
	end     int64 // of the log
}

// rewriting says whether the running command has told the log something else than itself.
type rewriting bool

const (
	rewriteNone rewriting = false
	rewriteDone rewriting = true
)

func (e *Engine) unitBegin() { e.unit.open++ }

var (
	logMulti = []byte("*1\r\n$5\r\nMULTI\r\n")
	logExec  = []byte("*1\r\n$4\r\nEXEC\r\n")
)

func (e *Engine) unitEnd() {
	if e.unit.open--; e.unit.open > 0 {
		return
	}
	if len(e.unit.buf) > 0 {
		e.logUnit()
	}
	for len(e.after) > 0 {
		f := e.after[0]
		e.after = e.after[1:]
		f()
	}
}

// afterUnit runs f once the running unit has ended; at once if there is none.
func (e *Engine) afterUnit(f func()) {
	if e.unit.open == 0 {
		f()
		return
	}
	e.after = append(e.after, f)
}

func (e *Engine) logUnit() {
	u := &e.unit
	if e.journal != nil {
		if u.entries > 1 {
			e.journal.Append(logMulti)
			e.journal.Append(u.buf)
			u.end = e.journal.Append(logExec)
		} else {
			u.end = e.journal.Append(u.buf)
		}
	}
	u.entries, u.buf = 0, u.buf[:0]
	if cap(u.buf) > 1<<20 {
		u.buf = nil
	}
}

// log adds a command to the unit.
func (e *Engine) log(db int, args [][]byte) {
	if e.journal == nil || e.loading {
		return
	}
	u := &e.unit
	if db != u.db {
		u.db = db
		n := strconv.Itoa(db)
		u.buf = append(u.buf, "*2\r\n$6\r\nSELECT\r\n$"...)
		u.buf = strconv.AppendInt(u.buf, int64(len(n)), 10)
		u.buf = append(u.buf, '\r', '\n')
		u.buf = append(u.buf, n...)
		u.buf = append(u.buf, '\r', '\n')
	}
	u.entries++
	u.buf = AppendCommand(u.buf, args)
}

// AppendCommand appends a command in the protocol's encoding.
func AppendCommand(dst []byte, args [][]byte) []byte {
	dst = appendHeader(dst, '*', int64(len(args)))
	for _, a := range args {
		dst = appendHeader(dst, '$', int64(len(a)))
		dst = append(dst, a...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// Propagate tells the log this command in place of the one that runs: its effect, where repeating the
// command itself would not have the same. It may be called more than once; the log keeps or loses all of
// what one command told it.
func (c *Client) Propagate(args ...[]byte) {
	c.e.unit.rewrite = rewriteDone
	c.e.log(c.db.index, args)
}

// PropagateStrings is Propagate for what is at hand as strings.
func (c *Client) PropagateStrings(args ...string) {
	all := make([][]byte, len(args))
	for i, a := range args {
		all[i] = []byte(a)
	}
	c.Propagate(all...)
}

// PropagateNothing keeps the command that runs out of the log.
func (c *Client) PropagateNothing() { c.e.unit.rewrite = rewriteDone }
