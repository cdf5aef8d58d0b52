package main

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
)

// postgresDir returns where PostgreSQL keeps its data: in data, unless we are root and the user
// postgres cannot get there (as below /root); then in a directory of /var/tmp that belongs to data.
func postgresDir(data string) (string, error) {
	dir, err := filepath.Abs(filepath.Join(data, "postgres"))
	if err != nil {
		return "", err
	}
	if os.Geteuid() != 0 {
		return dir, nil
	}
	open, err := passable(filepath.Dir(dir))
	if err != nil || open {
		return dir, err
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(dir)) // never fails
	return filepath.Join("/var/tmp", fmt.Sprintf("zmsg-dev-%x", h.Sum64())), nil
}

// passable reports whether everybody may pass through dir, an absolute path, and all above it.
func passable(dir string) (bool, error) {
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return false, err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return false, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true, nil
		}
		dir = parent
	}
}
