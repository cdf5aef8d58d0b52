//go:build unix

package admin

import (
	"fmt"
	"syscall"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

func infoCPU(*engine.Engine) []engine.Field {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return nil
	}
	return []engine.Field{
		{Name: "used_cpu_sys", Value: fmt.Sprintf("%d.%06d", u.Stime.Sec, u.Stime.Usec)},
		{Name: "used_cpu_user", Value: fmt.Sprintf("%d.%06d", u.Utime.Sec, u.Utime.Usec)},
	}
}
