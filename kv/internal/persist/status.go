package persist

import (
	"fmt"
	"strconv"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

type fields []engine.Field

func (f *fields) text(name, value string)  { *f = append(*f, engine.Field{Name: name, Value: value}) }
func (f *fields) int(name string, n int64) { f.text(name, strconv.FormatInt(n, 10)) }

func (f *fields) flag(name string, on bool) {
	n := int64(0)
	if on {
		n = 1
	}
	f.int(name, n)
}

func (f *fields) status(name string, ok bool) {
	text := "err"
	if ok {
		text = "ok"
	}
	f.text(name, text)
}

// seconds writes a duration; a negative one is none.
func (f *fields) seconds(name string, d time.Duration) {
	if d < 0 {
		f.int(name, -1)
		return
	}
	f.int(name, int64(d/time.Second))
}

// Status implements engine.Persistence.
func (s *Store) Status() []engine.Field {
	var f fields
	took := func(j job) time.Duration {
		if s.now != j {
			return -1
		}
		return time.Since(s.began)
	}
	processed, total := 0, 0
	if s.now != idle {
		processed, total = s.keys, s.total
	}
	f.int("current_save_keys_processed", int64(processed))
	f.int("current_save_keys_total", int64(total))
	f.flag("rdb_bgsave_in_progress", s.now == saving)
	f.int("rdb_last_save_time", s.e.LastSave().Unix())
	f.status("rdb_last_bgsave_status", s.saveOK)
	f.seconds("rdb_last_bgsave_time_sec", s.saveTook)
	f.seconds("rdb_current_bgsave_time_sec", took(saving))
	f.int("rdb_saves", s.saves)
	f.int("rdb_last_cow_size", 0)
	f.int("rdb_last_load_keys_expired", s.expired)
	f.int("rdb_last_load_keys_loaded", s.loaded)
	log := s.journal.log
	f.flag("aof_enabled", log != nil || s.turning)
	f.flag("aof_rewrite_in_progress", s.now == rewriting)
	f.flag("aof_rewrite_scheduled", s.next == rewriting)
	f.seconds("aof_last_rewrite_time_sec", s.rewriteTook)
	f.seconds("aof_current_rewrite_time_sec", took(rewriting))
	f.status("aof_last_bgrewrite_status", s.rewriteOK)
	f.int("aof_rewrites", s.rewrites)
	f.int("aof_rewrites_consecutive_failures", int64(s.failures))
	f.status("aof_last_write_status", log == nil || log.Err() == nil)
	f.int("aof_last_cow_size", 0)
	f.int("module_fork_in_progress", 0)
	f.int("module_fork_last_cow_size", 0)
	if log != nil {
		st := log.Stats()
		f.int("aof_current_size", s.size())
		f.int("aof_base_size", s.rewriteBase)
		f.flag("aof_pending_rewrite", s.turning)
		f.int("aof_buffer_length", int64(st.Buffered))
		f.flag("aof_pending_bio_fsync", st.Syncing)
		f.int("aof_delayed_fsync", st.Delayed)
	}
	if l := s.loader; l != nil {
		l.status(&f)
	}
	return f
}

// status tells of loading. It needs the lock.
func (l *loader) status(f *fields) {
	p := l.now()
	f.int("loading_start_time", l.started.Unix())
	f.int("loading_total_bytes", p.Total)
	f.int("loading_loaded_bytes", p.Loaded)
	f.text("loading_loaded_perc", fmt.Sprintf("%.2f", float64(p.Loaded)/float64(max(1, p.Total))*100))
	left := int64(1)
	if rate := p.Rate(); p.Loaded > 0 {
		left = int64(float64(p.Total-p.Loaded) / rate)
	}
	f.int("loading_eta_seconds", left)
}
