package main

import (
	"context"
	"fmt"

	"go.uber.org/zap"
)

// redisLog takes what the Redis client says of its own, such as every connection that fails, which by
// default goes to stderr in a form of its own. What is wrong with Redis the engine says once, and
// metrics count it; this is for who looks closer.
type redisLog struct{ log *zap.Logger }

// Printf logs a line at level debug.
func (l redisLog) Printf(_ context.Context, format string, args ...any) {
	if line := l.log.Check(zap.DebugLevel, "redis client"); line != nil {
		line.Write(zap.String("said", fmt.Sprintf(format, args...)))
	}
}
