package kv

import (
	"fmt"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/persist"
	"github.com/zmsg/zmsg/kv/internal/vfs"
)

// FileReport is what Check has found in one file.
type FileReport = persist.Report

// Check reads all files of the database in dir, which must not be open, and reports on each. If fix is set,
// the end of a log, from its first damage on, is cut off, after a copy has been put beside it.
//
// The error is nil if everything is whole, or is now; else it is the first damage, or says what keeps Check
// from looking.
func Check(dir string, fix bool) ([]FileReport, error) {
	c := engine.Defaults()
	c.Dir, c.AppendOnly = dir, true
	e := engine.New(c)
	defer e.Close()
	register(e)
	reports, err := persist.Check(vfs.OS{}, e, fix)
	if err != nil {
		return reports, fmt.Errorf("kv: %w", err)
	}
	return reports, nil
}
