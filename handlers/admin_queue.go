package handlers

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zmsg/zmsg/model"
)

// queue answers with the state of the queue: a text for a person, or JSON if the request accepts that.
func (a *admin) queue(ctx context.Context, w *response, r *http.Request) error {
	report := a.Queue(ctx)
	h := w.Header()
	h.Set("Vary", "Accept")
	if wantsJSON(r) {
		writeJSON(w, http.StatusOK, marshal(queueJSON(&report)))
		return nil
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(queueText(&report))) // a client that is gone needs no answer
	return nil
}

// wantsJSON reports whether r names JSON among the media types that it accepts.
func wantsJSON(r *http.Request) bool {
	named := false
	splitList(r.Header["Accept"], func(e string) bool {
		media, _, _ := strings.Cut(e, ";")
		named = strings.EqualFold(strings.TrimSpace(media), mediaJSON)
		return !named
	})
	return named
}

// queueTotals sums up the shards: the lag is that of the slowest one.
type queueTotals struct {
	backlog, bytes int64
	lag            time.Duration
}

func totalsOf(report *model.QueueReport) queueTotals {
	var t queueTotals
	for i := range report.Shards {
		s := &report.Shards[i]
		t.backlog += s.Backlog
		t.bytes += s.Bytes
		t.lag = max(t.lag, s.Lag)
	}
	return t
}

// queueReport is the JSON of a report.
type queueReport struct {
	Replica     string        `json:"replica"`
	Replicas    []string      `json:"replicas"`
	Level       string        `json:"level"`
	Backlog     int64         `json:"backlog_writes"`
	Bytes       int64         `json:"backlog_bytes"`
	Lag         float64       `json:"lag_seconds"`
	Waiting     int64         `json:"waiting"`
	DeadLetters *int64        `json:"dead_letters"` // null if the database did not tell
	Work        workReport    `json:"since_start"`
	Shards      []shardReport `json:"shards"`
}

// workReport is what this replica has done since its start.
type workReport struct {
	Commits       int64   `json:"commits"`
	CommitSeconds float64 `json:"commit_seconds_mean"`
	ItemWrites    int64   `json:"item_writes"`
	ItemRows      int64   `json:"item_rows"`
	Increments    int64   `json:"increments"`
	IncrementRows int64   `json:"increment_rows"`
	DeadLetters   int64   `json:"dead_letters"`
	Lost          int64   `json:"lost_writes"`
	Takeovers     int64   `json:"takeovers"`
	MovedToRedis  int64   `json:"shards_moved_to_redis"`
	MovedToSQL    int64   `json:"shards_moved_to_sql"`
}

type shardReport struct {
	Shard    int     `json:"shard"`
	Holds    string  `json:"holds"`
	Home     string  `json:"home"`
	Process  string  `json:"process,omitzero"`
	Epoch    int64   `json:"epoch"`
	Drainer  string  `json:"drainer"`
	Position string  `json:"position"`
	Backlog  int64   `json:"backlog_writes"`
	Bytes    int64   `json:"backlog_bytes"`
	Lag      float64 `json:"lag_seconds"`
	RedisOut bool    `json:"redis_out"`
}

func queueJSON(report *model.QueueReport) queueReport {
	t := totalsOf(report)
	out := queueReport{
		Replica: report.Replica, Replicas: report.Replicas, Level: report.Level,
		Backlog: t.backlog, Bytes: t.bytes, Lag: t.lag.Seconds(), Waiting: report.Waiting,
		Shards: make([]shardReport, 0, len(report.Shards)), Work: workJSON(&report.Work),
	}
	if report.DeadLetters >= 0 {
		out.DeadLetters = &report.DeadLetters
	}
	for i := range report.Shards {
		s := &report.Shards[i]
		out.Shards = append(out.Shards, shardReport{
			Shard: s.Shard, Holds: holds(s), Home: s.Home, Process: s.Process, Epoch: s.Epoch, Drainer: s.Drainer,
			Position: s.Position.String(), Backlog: s.Backlog, Bytes: s.Bytes, Lag: s.Lag.Seconds(), RedisOut: s.RedisOut,
		})
	}
	return out
}

func workJSON(w *model.QueueWork) workReport {
	return workReport{
		Commits: w.Commits, CommitSeconds: w.CommitTime.Seconds(), ItemWrites: w.ItemWrites, ItemRows: w.ItemRows,
		Increments: w.Increments, IncrementRows: w.IncrementRows, DeadLetters: w.DeadLetters, Lost: w.Lost,
		Takeovers: w.Takeovers, MovedToRedis: w.MovedToRedis, MovedToSQL: w.MovedToSQL,
	}
}

func holds(s *model.ShardReport) string {
	if s.Counters {
		return "counters"
	}
	return "items"
}

// queueText puts the totals on top, then one line for each shard.
func queueText(report *model.QueueReport) string {
	t := totalsOf(report)
	letters := "unknown"
	if report.DeadLetters >= 0 {
		letters = grouped(report.DeadLetters)
	}
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "level %s   backlog %s (%s)   lag %s   waiting %s   dead letters %s   replicas %d\n", // never fails
		report.Level, grouped(t.backlog), byteSize(t.bytes), shortTime(t.lag), grouped(report.Waiting), letters, len(report.Replicas))
	_, _ = fmt.Fprintf(&b, "this is %s; alive: %s\n", report.Replica, orDash(strings.Join(report.Replicas, ", ")))
	appendWork(&b, report)
	rows := [][]string{{"SHARD", "HOLDS", "HOME", "EPOCH", "BACKLOG", "SIZE", "LAG", "POSITION", "DRAINER", "SERVED BY"}}
	for i := range report.Shards {
		s := &report.Shards[i]
		served := shortProcess(s.Process)
		if s.RedisOut {
			served = strings.TrimSpace(served + " (out of reach)")
		}
		position := "-"
		if s.Position != 0 { // epoch and sequence, as the queue's entries are named
			position = fmt.Sprintf("%d-%d", s.Position.Epoch(), s.Position.Seq())
		}
		rows = append(rows, []string{
			strconv.Itoa(s.Shard), holds(s), s.Home, strconv.FormatInt(s.Epoch, 10), grouped(s.Backlog), byteSize(s.Bytes),
			shortTime(s.Lag), position, orDash(s.Drainer), orDash(served),
		})
	}
	appendTable(&b, rows, "rllrrrrrll")
	return b.String()
}

// appendWork tells what this replica has done since its start.
func appendWork(b *strings.Builder, report *model.QueueReport) {
	w, out := &report.Work, 0
	for i := range report.Shards {
		if report.Shards[i].RedisOut {
			out++
		}
	}
	_, _ = fmt.Fprintf(b, "since its start: %s commits of %s; %s item writes in %s rows; %s increments in %s rows (%s each)\n",
		grouped(w.Commits), w.CommitTime.Round(10*time.Microsecond), grouped(w.ItemWrites), grouped(w.ItemRows),
		grouped(w.Increments), grouped(w.IncrementRows), ratio(w.IncrementRows, w.Increments))
	_, _ = fmt.Fprintf(b, "  %s shards moved to redis, %s to sql; %s takeovers; %s dead letters, %s writes lost; breaker open for %d shards\n\n",
		grouped(w.MovedToRedis), grouped(w.MovedToSQL), grouped(w.Takeovers), grouped(w.DeadLetters), grouped(w.Lost), out)
}

// ratio writes a/b in three digits.
func ratio(a, b int64) string {
	if b == 0 {
		return "0"
	}
	return strconv.FormatFloat(float64(a)/float64(b), 'g', 3, 64)
}

// shortProcess leaves of the identity of a process what tells it from others at a glance.
func shortProcess(process string) string {
	const digits = 12
	return process[:min(len(process), digits)]
}

// appendTable aligns the columns: to the right where align has an r.
func appendTable(b *strings.Builder, rows [][]string, align string) {
	widths := make([]int, len(align))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				b.WriteString("  ")
			}
			switch {
			case align[i] == 'r':
				b.WriteString(pad + cell)
			case i == len(row)-1: // nothing is to follow
				b.WriteString(cell)
			default:
				b.WriteString(cell + pad)
			}
		}
		b.WriteByte('\n')
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// grouped writes a number with a comma after each thousand.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// byteSize writes a size in the largest unit that it fills.
func byteSize(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	size, unit := float64(n)/1024, 0
	for size >= 1024 && unit < len(sizeUnits)-1 {
		size /= 1024
		unit++
	}
	return strconv.FormatFloat(size, 'f', 1, 64) + " " + sizeUnits[unit]
}

var sizeUnits = []string{"KiB", "MiB", "GiB", "TiB"}

// shortTime writes a duration in as many digits as a person reads.
func shortTime(d time.Duration) string {
	switch {
	case d <= 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}
