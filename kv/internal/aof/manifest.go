package aof

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Type says what a file of the log is, as the manifest writes it.
type Type byte

// The types of files.
const (
	Base    Type = 'b' // the state at one moment: an RDB file, or commands
	Incr    Type = 'i' // the commands since
	History Type = 'h' // replaced, to be deleted
)

// File is one line of the manifest.
type File struct {
	Name string // without a directory
	Seq  int64  // rises with each new file of the type
	Type Type
}

// Manifest lists the files that make up the log: a base, if there is one, and what is played on top of it,
// in order.
type Manifest struct {
	Base    *File
	Incr    []File
	History []File
}

// maxLine is how long a line of the manifest may be, as in Redis.
const maxLine = 1024

// ErrManifest is what the errors of ParseManifest match.
var ErrManifest = errors.New("the AOF manifest is damaged")

// ParseManifest reads a manifest. Errors name the line.
func ParseManifest(b []byte) (*Manifest, error) {
	m := &Manifest{}
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: found an empty AOF manifest", ErrManifest)
	}
	for number := 1; len(b) > 0; number++ {
		end := bytes.IndexByte(b, '\n')
		if end < 0 || end >= maxLine {
			return nil, fmt.Errorf("%w: line %d: the AOF manifest file contains too long line", ErrManifest, number)
		}
		line := string(b[:end])
		b = b[end+1:]
		if strings.HasPrefix(line, "#") {
			continue
		}
		f, err := parseLine(line)
		if err == nil {
			err = m.add(f)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrManifest, number, err)
		}
	}
	return m, nil
}

func (m *Manifest) add(f File) error {
	switch f.Type {
	case Base:
		if m.Base != nil {
			return errors.New("found duplicate base file information")
		}
		m.Base = &f
	case Incr:
		if n := len(m.Incr); n > 0 && m.Incr[n-1].Seq >= f.Seq {
			return errors.New("found a non-monotonic sequence number")
		}
		m.Incr = append(m.Incr, f)
	case History:
		m.History = append(m.History, f)
	default:
		return errors.New("unknown AOF file type")
	}
	return nil
}

func parseLine(line string) (File, error) {
	words, ok := splitWords(line)
	if !ok || len(words) < 6 || len(words)%2 != 0 {
		return File{}, errors.New("invalid AOF manifest file format")
	}
	var f File
	for i := 0; i < len(words); i += 2 {
		key, value := words[i], words[i+1]
		switch {
		case strings.EqualFold(key, "file"):
			f.Name = value
		case strings.EqualFold(key, "seq"):
			f.Seq, _ = strconv.ParseInt(value, 10, 64)
		case strings.EqualFold(key, "type") && value != "":
			f.Type = Type(value[0])
		}
	}
	if f.Name == "" || f.Seq <= 0 || f.Type == 0 {
		return File{}, errors.New("invalid AOF manifest file format")
	}
	if strings.ContainsAny(f.Name, `/\`) || f.Name == "." || f.Name == ".." {
		return File{}, errors.New("file can't be a path, just a filename")
	}
	return f, nil
}

// splitWords takes a line apart at blanks. Words may be quoted, with Go's escapes, which are Redis's too.
func splitWords(line string) ([]string, bool) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t\r\n")
		if line == "" {
			return words, true
		}
		var word string
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, false
			}
			word, err = strconv.Unquote(quoted)
			if err != nil {
				return nil, false
			}
			line = line[len(quoted):]
			if line != "" && !strings.ContainsRune(" \t\r\n", rune(line[0])) {
				return nil, false
			}
		} else {
			end := strings.IndexAny(line, " \t\r\n")
			if end < 0 {
				end = len(line)
			}
			word, line = line[:end], line[end:]
		}
		words = append(words, word)
	}
}

// Encode writes the manifest as Redis does.
func (m *Manifest) Encode() []byte {
	var b bytes.Buffer
	if m.Base != nil {
		m.Base.encode(&b)
	}
	for _, f := range m.History {
		f.encode(&b)
	}
	for _, f := range m.Incr {
		f.encode(&b)
	}
	return b.Bytes()
}

func (f File) encode(b *bytes.Buffer) {
	name := f.Name
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'\`, r) }) {
		name = quoted(name)
	}
	fmt.Fprintf(b, "file %s seq %d type %c\n", name, f.Seq, f.Type)
}

func quoted(name string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(name) {
		switch c := name[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Clone returns a manifest of its own.
func (m *Manifest) Clone() *Manifest {
	c := &Manifest{Incr: append([]File(nil), m.Incr...), History: append([]File(nil), m.History...)}
	if m.Base != nil {
		base := *m.Base
		c.Base = &base
	}
	return c
}

// NextBase returns the file that a new base goes to. prefix is the log's name, "appendonly.aof".
func (m *Manifest) NextBase(prefix string) File {
	seq := m.unused()
	if m.Base != nil {
		seq = max(seq, m.Base.Seq+1)
	}
	return File{Name: fmt.Sprintf("%s.%d.base.rdb", prefix, seq), Seq: seq, Type: Base}
}

// NextIncr returns the file that the log goes on in after the last one.
func (m *Manifest) NextIncr(prefix string) File {
	seq := m.unused()
	if n := len(m.Incr); n > 0 {
		seq = max(seq, m.Incr[n-1].Seq+1)
	}
	return File{Name: fmt.Sprintf("%s.%d.incr.aof", prefix, seq), Seq: seq, Type: Incr}
}

// unused is a number that no file to be deleted has.
func (m *Manifest) unused() int64 {
	seq := int64(1)
	for _, f := range m.History {
		seq = max(seq, f.Seq+1)
	}
	return seq
}

// ManifestName returns the name of the manifest of the log called prefix.
func ManifestName(prefix string) string { return prefix + ".manifest" }
