package handlers

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// AccessLog says which requests are logged. The zero value logs none.
type AccessLog struct {
	errors bool   // all that were answered with 400 or above
	every  uint64 // each so-manieth request; 0 for none
}

// UnmarshalText reads "off", "errors", "all", or a rate from 0 to 1.
func (a *AccessLog) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "off":
		*a = AccessLog{}
	case "errors":
		*a = AccessLog{errors: true}
	case "all":
		*a = AccessLog{every: 1}
	default:
		rate, err := strconv.ParseFloat(s, 64)
		if err != nil || !(rate >= 0 && rate <= 1) {
			return errors.New("must be off, errors, all, or a rate from 0 to 1")
		}
		*a = AccessLog{}
		if rate > 0 {
			a.every = uint64(math.Round(min(1/rate, math.MaxInt32)))
		}
	}
	return nil
}

// accessLog writes one line for each request that its configuration picks.
type accessLog struct {
	AccessLog
	count  atomic.Uint64
	logger *zap.Logger
}

func newAccessLog(c AccessLog, logger *zap.Logger) *accessLog {
	return &accessLog{AccessLog: c, logger: logger}
}

func (a *accessLog) log(w *response, r *http.Request, took time.Duration) {
	picked := a.every > 0 && a.count.Add(1)%a.every == 0
	failed := a.errors && w.status >= http.StatusBadRequest
	if !picked && !failed {
		return
	}
	a.logger.Info("request",
		zap.String("request_id", w.requestID()),
		zap.String("method", r.Method),
		zap.String("path", r.URL.Path),
		zap.Int("status", w.status),
		zap.Int64("bytes", w.bytes),
		zap.Duration("took", took),
		zap.String("remote", r.RemoteAddr))
}
