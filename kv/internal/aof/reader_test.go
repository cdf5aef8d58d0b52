package aof_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/zmsg/zmsg/kv/internal/aof"
)

func command(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// units reads everything: "a b|c" is a transaction of two commands, one of two words.
func units(src io.Reader) (got []string, err error) {
	r := aof.NewReader(src, "f", 0)
	for {
		u, err := r.NextUnit()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		var commands []string
		for _, args := range u.Commands {
			commands = append(commands, string(bytes.Join(args, []byte(" "))))
		}
		got = append(got, strings.Join(commands, "|"))
	}
}

var (
	set   = command("SET", "k", "v")
	multi = command("MULTI")
	exec  = command("EXEC")
	ts    = "#TS:1700000000\r\n"
)

func TestReader(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, file string
		want       string // units, joined by ";"
		kind       error
		offset     int
	}{
		{name: "empty"},
		{name: "commands", file: set + ts + command("DEL", "a", ""), want: "SET k v;DEL a "},
		{name: "binary", file: command("SET", "\r\n\x00", "*1\r\n"), want: "SET \r\n\x00 *1\r\n"},
		{name: "transaction", file: multi + set + ts + set + exec + set, want: "SET k v|SET k v;SET k v"},
		{name: "lower case", file: command("multi") + set + command("exec"), want: "SET k v"},
		{name: "torn header", file: set + "*3\r\n$3", want: "SET k v", kind: aof.ErrTorn, offset: len(set)},
		{name: "torn value", file: set + set[:len(set)-3], want: "SET k v", kind: aof.ErrTorn, offset: len(set)},
		{name: "torn end", file: set + set[:len(set)-1], want: "SET k v", kind: aof.ErrTorn, offset: len(set)},
		{name: "torn annotation", file: set + ts[:5], want: "SET k v", kind: aof.ErrTorn, offset: len(set)},
		{name: "open transaction", file: set + multi + set, want: "SET k v", kind: aof.ErrTorn, offset: len(set)},
		{name: "torn transaction", file: set + multi + set + set[:9], want: "SET k v", kind: aof.ErrTorn, offset: len(set)},
		{name: "zeros", file: set + "\x00\x00\x00", want: "SET k v", kind: aof.ErrTorn, offset: len(set)},
		{name: "many zeros", file: set + strings.Repeat("\x00", 1<<20), want: "SET k v", kind: aof.ErrTorn, offset: len(set)},
		{name: "zeros in a value", file: set + set[:len(set)-4] + "\x00\x00\x00\x00", want: "SET k v", kind: aof.ErrTorn, offset: len(set)},
		{name: "zeros in an annotation", file: ts[:5] + strings.Repeat("\x00", 200), kind: aof.ErrTorn},
		{name: "zeros in a transaction", file: multi + set + set[:9] + "\x00\x00", kind: aof.ErrTorn},
		{name: "zeros, then not", file: set + "\x00\x00" + set, want: "SET k v", kind: aof.ErrDamaged, offset: len(set)},
		{name: "garbage", file: set + "hello", want: "SET k v", kind: aof.ErrDamaged, offset: len(set)},
		{name: "empty command", file: set + "*0\r\n", want: "SET k v", kind: aof.ErrDamaged, offset: len(set)},
		{name: "negative", file: "*-1\r\n", kind: aof.ErrDamaged},
		{name: "no length", file: "*\r\n", kind: aof.ErrDamaged},
		{name: "huge count", file: "*99999999999\r\n", kind: aof.ErrDamaged},
		{name: "huge count that is torn", file: "*9999999999\r\n$1\r\na\r\n", kind: aof.ErrTorn},
		{name: "huge length that is torn", file: "*1\r\n$9999999999\r\nabc", kind: aof.ErrTorn},
		{name: "no CR", file: "*1\n", kind: aof.ErrDamaged},
		{name: "no LF", file: "*1\r$", kind: aof.ErrDamaged},
		{name: "too short", file: "*1\r\n$1\r\nab\r\n", kind: aof.ErrDamaged},
		{name: "too short by one", file: "*1\r\n$2\r\na\r\n*1\r\n", kind: aof.ErrDamaged},
		{name: "damaged transaction", file: set + multi + set + "x", want: "SET k v", kind: aof.ErrDamaged, offset: len(set)},
		{name: "nested", file: multi + multi, kind: aof.ErrDamaged},
		{name: "no MULTI", file: set + exec, want: "SET k v", kind: aof.ErrDamaged, offset: len(set)},
		{name: "endless annotation", file: "#" + strings.Repeat("x", 1000), kind: aof.ErrDamaged},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for how, src := range map[string]io.Reader{
				"whole": strings.NewReader(tc.file), "by the byte": iotest.OneByteReader(strings.NewReader(tc.file)),
			} {
				got, err := units(src)
				if text := strings.Join(got, ";"); text != tc.want || !errors.Is(err, tc.kind) {
					t.Errorf("%s: got %q, %v; want %q, %v", how, text, err, tc.want, tc.kind)
				}
				var e *aof.Error
				if errors.As(err, &e) && (e.Offset != int64(tc.offset) || e.File != "f") {
					t.Errorf("%s: %v; want offset %d", how, e, tc.offset)
				}
			}
		})
	}
}

func TestReaderLargeAndOffset(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("x", 3<<20)
	r := aof.NewReader(strings.NewReader(set+ts+command("SET", "k", value)), "f", 100)
	for _, want := range []struct {
		start int64
		value string
	}{{100, "v"}, {100 + int64(len(set)+len(ts)), value}} {
		args, err := r.Next()
		if err != nil || string(args[2]) != want.value || r.Start() != want.start {
			t.Fatalf("Next = %d arguments, %v at %d; want offset %d", len(args), err, r.Start(), want.start)
		}
	}
	if r.Timestamp() != 1700000000 {
		t.Errorf("Timestamp = %d", r.Timestamp())
	}
	failure := errors.New("broken disk")
	_, err := units(iotest.ErrReader(failure))
	if !errors.Is(err, failure) {
		t.Errorf("a failing disk: %v", err)
	}
}

// FuzzReader checks that what is read is what is there: the commands encode to the bytes that were read,
// and the offset of an error is their end.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{set, ts + set + multi + set + exec, set[:10], "*1\r\n$1\r\n", multi + set, "*3\r\n\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r := aof.NewReader(bytes.NewReader(file), "f", 0)
		at := int64(0)
		for {
			args, err := r.Next()
			if err != nil {
				var e *aof.Error
				switch {
				case errors.Is(err, io.EOF):
					if !annotations(file[at:]) {
						t.Fatalf("the end at %d of %q", at, file)
					}
				case !errors.As(err, &e) || !annotations(file[at:e.Offset]):
					t.Fatalf("%v; expected after %d of %q", err, at, file)
				}
				break
			}
			if !annotations(file[at:r.Start()]) {
				t.Fatalf("skipped %q", file[at:r.Start()])
			}
			words := make([]string, len(args))
			for i, a := range args {
				words[i] = string(a)
			}
			// Lengths may have leading zeros, so it is the values that are compared.
			again, err := aof.NewReader(strings.NewReader(command(words...)), "", 0).Next()
			if err != nil || !bytes.Equal(bytes.Join(again, []byte{0}), bytes.Join(args, []byte{0})) {
				t.Fatalf("%q became %q, %v", args, again, err)
			}
			at = r.Offset()
		}
		_, err := units(iotest.HalfReader(bytes.NewReader(file)))
		if err != nil && !errors.Is(err, aof.ErrTorn) && !errors.Is(err, aof.ErrDamaged) {
			t.Fatal(err)
		}
	})
}

// annotations reports whether b is nothing but lines that start with '#'.
func annotations(b []byte) bool {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if b[0] != '#' || end < 0 {
			return false
		}
		b = b[end+1:]
	}
	return true
}

func TestManifest(t *testing.T) {
	t.Parallel()
	text := "file appendonly.aof.2.base.rdb seq 2 type b\n" +
		"file \"old \\\"one\\\" \\x01\" seq 1 type h\n" +
		"file appendonly.aof.4.incr.aof seq 4 type i\n" +
		"file appendonly.aof.6.incr.aof seq 6 type i\n"
	m, err := aof.ParseManifest([]byte("# comment\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(m.Clone().Encode()); got != text {
		t.Errorf("Encode = %q", got)
	}
	if f := m.NextBase("appendonly.aof"); f.Name != "appendonly.aof.3.base.rdb" || f.Seq != 3 {
		t.Errorf("NextBase = %v", f)
	}
	if f := m.NextIncr("appendonly.aof"); f.Name != "appendonly.aof.7.incr.aof" || f.Seq != 7 {
		t.Errorf("NextIncr = %v", f)
	}
	if m.History[0].Name != "old \"one\" \x01" {
		t.Errorf("history %q", m.History[0].Name)
	}
	for _, bad := range []string{
		"", "\n", "file a seq 1 type b", "file a seq 1\n", "file a seq 0 type b\n", "file a seq 1 type x\n",
		"file a/b seq 1 type b\n", "file .. seq 1 type b\n", "file a seq 1 type b\nfile b seq 2 type b\n",
		"file a seq 2 type i\nfile b seq 2 type i\n", "file \"a seq 1 type b\n", "file \"a\"b seq 1 type b\n",
		"file " + strings.Repeat("a", 1100) + " seq 1 type b\n",
	} {
		if _, err := aof.ParseManifest([]byte(bad)); !errors.Is(err, aof.ErrManifest) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte("file a seq 1 type b\nfile \"\\x00\" seq 2 type i\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := aof.ParseManifest(b)
		if err != nil {
			return
		}
		if len(m.Encode()) == 0 {
			return // comments alone
		}
		again, err := aof.ParseManifest(m.Encode())
		if err != nil {
			// A name may grow beyond the length of a line when it is quoted.
			if len(m.Encode()) < 1024 {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(again.Encode(), m.Encode()) {
			t.Fatalf("%q became %q", m.Encode(), again.Encode())
		}
	})
}
