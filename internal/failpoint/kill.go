//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// init arms the process before any other code of it runs.
func init() {
	spec := os.Getenv(Env)
	if spec == "" {
		return
	}
	name, count, _ := strings.Cut(spec, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if name == "" || err != nil || n < 1 {
		fmt.Fprintf(os.Stderr, "%s=%q: want name:n with n >= 1\n", Env, spec)
		os.Exit(2)
	}
	add(name, killAt(n))
}

// killAt returns a hook whose n-th call does not return.
func killAt(n int64) func() error {
	var hits atomic.Int64
	return func() error {
		if hits.Add(1) < n {
			return nil
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		if err != nil {
			panic(fmt.Sprintf("cannot kill myself: %v", err))
		}
		select {} // The signal may take a moment; nothing may happen in it.
	}
}
