package server

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxMisses = 4   // in a row, after which spinning pauses
	maxPause  = 512 // sleeps that a pause lasts at most
	crowdTime = 10  // ticks that a crowd is avoided
	// manyPreemptions is how many there are in one tick, from which on others want the processor.
	manyPreemptions = 8
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

	preempted int64
	others    time.Duration
}

func newSpinner(limit int) spinner {
	if limit < 0 || runtime.NumCPU() == 1 || runtime.GOMAXPROCS(0) == 1 {
		return spinner{}
	}
	return spinner{limit: limit}
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

// look finds out whether somebody else wants the processor: whether this thread was preempted a lot in the
// time since the last look, or other threads of the process used half a processor.
func (s *spinner) look(passed time.Duration) {
	if s.limit == 0 {
		return
	}
	var thread, process unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &thread) != nil || unix.Getrusage(unix.RUSAGE_SELF, &process) != nil {
		return
	}
	others := cpu(&process) - cpu(&thread)
	crowd := thread.Nivcsw-s.preempted > manyPreemptions || others-s.others > passed/2
	s.preempted, s.others = thread.Nivcsw, others
	if crowd {
		s.crowded = crowdTime
	} else if s.crowded > 0 {
		s.crowded--
	}
}

func cpu(u *unix.Rusage) time.Duration {
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
