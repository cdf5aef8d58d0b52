package server

import (
	"bytes"
	"errors"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxMisses = 4   // in a row, after which spinning pauses
	maxPause  = 512 // sleeps that a pause lasts at most
	crowdTime = 10  // ticks that a crowd is avoided
	// patience is the share of the time, 1/patience, that the thread may wait for a processor before it
	// takes others to want it. On idle processors it waits for interrupts alone, some hundredths.
	patience = 6
)

// spinner says how often to look for work again before sleeping. Spinning is for processors that would
// idle otherwise: it pauses when it found nothing lately, ever longer, and while others want to run.
type spinner struct {
	limit   int
	misses  int
	pause   int // sleeps until it is tried again
	backoff int // length of the last pause
	tried   bool
	crowded int // ticks

	stats  int           // a descriptor of the kernel's account of the thread; -1 until it is needed
	waited time.Duration // for a processor
	others time.Duration // that other threads of the process have run
}

func newSpinner(limit int) spinner {
	if limit < 0 || runtime.NumCPU() == 1 || runtime.GOMAXPROCS(0) == 1 {
		return spinner{stats: -1}
	}
	return spinner{limit: limit, stats: -1}
}

// rounds is how often to look before sleeping this time.
func (s *spinner) rounds() int {
	s.tried = false
	if s.limit == 0 || s.crowded > 0 {
		return 0
	}
	if s.pause > 0 {
		s.pause--
		return 0
	}
	s.tried = true
	return s.limit
}

// found tells whether there was work before it was time to sleep.
func (s *spinner) found(work bool) {
	switch {
	case !s.tried:
	case work:
		s.misses, s.backoff = 0, 0
	default:
		if s.misses++; s.misses >= maxMisses {
			s.misses = maxMisses - 1 // one more try after the pause
			s.backoff = min(max(2*s.backoff, 8), maxPause)
			s.pause = s.backoff
		}
	}
}

// look finds out whether somebody else wants the processor: whether this thread had to wait for one in the time
// since the last look, or other threads of the process used half of one. It is called in the same thread
// always. Where the kernel keeps no account, there is no spinning.
func (s *spinner) look(passed time.Duration) {
	if s.limit == 0 {
		return
	}
	waited, err := s.wait()
	var thread, process unix.Rusage
	err = errors.Join(err, unix.Getrusage(unix.RUSAGE_THREAD, &thread), unix.Getrusage(unix.RUSAGE_SELF, &process))
	if err != nil {
		s.limit = 0
		return
	}
	others := cpu(&process) - cpu(&thread)
	crowd := waited-s.waited > passed/patience || others-s.others > passed/2
	s.waited, s.others = waited, others
	if crowd {
		s.crowded = crowdTime
	} else if s.crowded > 0 {
		s.crowded--
	}
}

// wait returns how long the thread has been ready to run without a processor, in all. See "schedstats" in the
// kernel's documentation of its scheduler: time on the processor, time waiting for it, number of slices.
func (s *spinner) wait() (time.Duration, error) {
	if s.stats < 0 {
		fd, err := unix.Open("/proc/thread-self/schedstat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		s.stats = fd
	}
	var b [64]byte
	n, err := unix.Pread(s.stats, b[:], 0)
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b[:n])
	if len(fields) < 2 {
		return 0, errors.ErrUnsupported
	}
	ns, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return time.Duration(ns), err
}

func (s *spinner) close() {
	if s.stats >= 0 {
		_ = unix.Close(s.stats)
	}
}

func cpu(u *unix.Rusage) time.Duration {
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
