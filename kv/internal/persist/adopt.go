package persist

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/zmsg/zmsg/kv/internal/aof"
)

// adopt moves the single log file of a Redis before 7, if there is one, into the log's directory, as its
// base. m is the manifest, or nil. It returns the manifest, nil if there is no log at all. Each step can be
// repeated if a crash comes before the next.
func (s *Store) adopt(m *aof.Manifest) (*aof.Manifest, error) {
	old := filepath.Join(s.dir, s.prefix)
	if _, err := s.fsys.Size(old); errors.Is(err, fs.ErrNotExist) {
		return m, nil
	} else if err != nil {
		return m, err
	}
	into := filepath.Join(s.logDir, s.prefix)
	if m != nil {
		_, err := s.fsys.Size(into)
		begun := m.Base != nil && m.Base.Name == s.prefix && len(m.Incr) == 0 && errors.Is(err, fs.ErrNotExist)
		if !begun {
			return m, nil // left where it is: the log has gone on without it
		}
	} else {
		m = &aof.Manifest{Base: &aof.File{Name: s.prefix, Seq: 1, Type: aof.Base}}
		if err := s.makeDir(s.logDir); err != nil {
			return nil, err
		}
		if err := s.writeManifest(m); err != nil {
			return nil, err
		}
	}
	if err := s.fsys.Rename(old, into); err != nil {
		return nil, err
	}
	if err := s.fsys.SyncDir(s.logDir); err != nil {
		return nil, err
	}
	s.log.Info("the log of an older version has been moved", "from", old, "to", into)
	return m, s.fsys.SyncDir(s.dir)
}

// removeHistory removes the files that have been replaced, and then takes them off the manifest.
func (s *Store) removeHistory() error {
	if len(s.manifest.History) == 0 {
		return nil
	}
	m := s.manifest.Clone()
	for _, f := range m.History {
		if err := s.removeIfThere(filepath.Join(s.logDir, f.Name)); err != nil {
			return err
		}
	}
	m.History = nil
	if err := s.writeManifest(m); err != nil {
		return err
	}
	s.manifest = m
	return nil
}
