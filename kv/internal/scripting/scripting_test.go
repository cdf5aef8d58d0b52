package scripting_test

import (
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/scalars"
	"github.com/zmsg/zmsg/kv/internal/scripting"
)

// rig is an engine with a client and a log.
type rig struct {
	e   *engine.Engine
	c   *engine.Client
	log log
}

type log struct{ text []byte }

func (l *log) Append(p []byte) int64 { l.text = append(l.text, p...); return int64(len(l.text)) }
func (*log) Commit(int64) error      { return nil }
func (*log) Sync(int64) error        { return nil }
func (*log) Err() error              { return nil }

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{e: engine.New(engine.Defaults())}
	r.e.Register(admin.Commands...)
	r.e.Register(scalars.Commands...)
	r.e.Register(scripting.New(r.e).Commands()...)
	r.e.Lock()
	r.e.SetJournal(&r.log)
	r.e.Unlock()
	r.c = r.e.NewClient(engine.Front{})
	t.Cleanup(r.c.Close)
	return r
}

func (r *rig) do(args ...string) string {
	all := make([][]byte, len(args))
	for i, a := range args {
		all[i] = []byte(a)
	}
	return string(r.e.Do(r.c, all, nil))
}

func TestResultsBecomeReplies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for script, want := range map[string]string{
		"return 3.99":                             ":3\r\n",
		"return -0.5":                             ":0\r\n",
		"return 'x'":                              "$1\r\nx\r\n",
		"return true":                             ":1\r\n",
		"return false":                            "$-1\r\n",
		"return {1,2,{3,'a'},nil,4}":              "*3\r\n:1\r\n:2\r\n*2\r\n:3\r\n$1\r\na\r\n",
		"return redis.status_reply('fine')":       "+fine\r\n",
		"return redis.error_reply('ERR my')":      "-ERR my\r\n",
		"return {err='X y'}":                      "-X y\r\n",
		"return {double=3.5}":                     "$3\r\n3.5\r\n",
		"return {map={a=1}}":                      "*2\r\n$1\r\na\r\n:1\r\n",
		"return tostring(redis.call('get','no'))": "$5\r\nfalse\r\n",
		"return redis.call('set','k','v')":        "+OK\r\n",
		"return {KEYS[1],ARGV[1]}":                "*0\r\n",
		"return redis.sha1hex('a')":               "$40\r\n86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\r\n",
		"math.randomseed(0) return {math.random(1000),math.random(1000)}": "*2\r\n:171\r\n:750\r\n",
		"return tostring(1e15)":                         "$5\r\n1e+15\r\n",
		"return tostring(nil) .. tostring({}):sub(1,5)": "$8\r\nniltable\r\n",
		"local t=redis.pcall('nosuch'); return t.err":   "$44\r\nERR Unknown Redis command called from script\r\n",
		"return redis.error_reply()":                    "-ERR wrong number or type of arguments\r\n",
		"return tostring(1/0 == math.huge)":             "$4\r\ntrue\r\n",
		"return tostring(math.huge)":                    "$3\r\ninf\r\n",
		"return string.format('%d', 3.7)":               "$1\r\n3\r\n",
	} {
		if got := r.do("EVAL", script, "0"); got != want {
			t.Errorf("%s\n got %q\nwant %q", script, got, want)
		}
	}
}

func TestLibraries(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for script, want := range map[string]string{
		"return cjson.encode({1,2,{a=1.5},'x/',true})":                                      `[1,2,{"a":1.5},"x\/",true]`,
		"return cjson.encode({})":                                                           "{}",
		"return cjson.encode(12345678901234567)":                                            "1.2345678901235e+16",
		"return cjson.encode(cjson.decode('[null,{\"b\":\"\\\\u00e9\"}]'))":                 "[null,{\"b\":\"é\"}]",
		"return tostring(pcall(cjson.decode, '[1] x'))":                                     "false",
		"return tostring(pcall(cjson.decode, '[1,2]]'))":                                    "false",
		"return tostring(#cmsgpack.pack({})) .. cmsgpack.pack({}):byte(1)":                  "1144",
		"return bit.tohex(255)":                                                             "000000ff",
		"return bit.tohex(bit.bor(bit.lshift(1,31), bit.bswap(1)), -8)":                     "81000000",
		"return tostring(bit.bnot(0))":                                                      "-1",
		"return struct.pack('>I4', 7)":                                                      "\x00\x00\x00\x07",
		"return table.concat({struct.unpack('>I2 <i2 s', '\\0\\5\\255\\255hi\\0')}, ',')":   "5,-1,hi,8",
		"return tostring(struct.size('!8 bi8'))":                                            "16",
		"return cmsgpack.pack({1,'a'}) == '\\146\\1\\161a' and 'same' or 'other'":           "same",
		"return cjson.encode({cmsgpack.unpack(cmsgpack.pack({a={1,2}}, -200, 1.5, true))})": `[{"a":[1,2]},-200,1.5,true]`,
	} {
		got := r.do("EVAL", script, "0")
		if _, body, _ := strings.Cut(got, "\r\n"); strings.TrimSuffix(body, "\r\n") != want {
			t.Errorf("%s\n got %q\nwant %q", script, got, want)
		}
	}
}

func TestErrorsNameTheScriptAndTheLine(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for script, want := range map[string]string{
		"return foo":                   "-ERR user_script:1: Script attempted to access nonexistent global variable 'foo' script: 47e30a5d10d5694f99208f9adc4fe3bf2450edbd, on @user_script:1.\r\n",
		"x=1":                          "-ERR user_script:1: Attempt to modify a readonly table script: 7caf6056913504f0508c65faf2dc3f94ff65bcfd, on @user_script:1.\r\n",
		"string.foo=1":                 "-ERR user_script:1: Attempt to modify a readonly table script: 430e58f82d10fb9c20c167012c39650705856070, on @user_script:1.\r\n",
		"error('boom')":                "-ERR user_script:1: boom script: 82903a0434f1503e152f89c03c9acd881a0e8150, on @user_script:1.\r\n",
		"error({err='My Err'})":        "-My Err script: a059ab708ad4709a4f1c6aa12b1122498ee51704, on @user_script:1.\r\n",
		"return redis.call('nosuch')":  "-ERR Unknown Redis command called from script script: 206396248e12c6e742fd7296250433c8d7343b74, on @user_script:1.\r\n",
		"return redis.call('set','a')": "-ERR Wrong number of args calling Redis command from script script: 68990c26510f449300ea04360b77feec1f073cc8, on @user_script:1.\r\n",
		"return redis.call({})":        "-ERR Lua redis lib command arguments must be strings or integers script: 80747816df1f4411f7c442b928fce6a814214839, on @user_script:1.\r\n",
		"return redis.call('multi')":   "-ERR This Redis command is not allowed from script script: c329a1a294be6bf95b44144f7502610661ae925a, on @user_script:1.\r\n",
		"getmetatable(_G).__index=nil": "-ERR user_script:1: Attempt to modify a readonly table script: 083d1807f1c42cf4f52a132b3c0e099e3c4b2d17, on @user_script:1.\r\n",
		"return rawset(_G,'a',1)":      "-ERR Attempt to modify a readonly table script: 5d59ac14291428a54dd72e1e5e3d90a8d46792aa, on @user_script:1.\r\n",
		"return redis.setresp(4)":      "-ERR RESP version must be 2 or 3. script: 921c0a48021d97dfd5884aeea41875972c7804d9, on @user_script:1.\r\n",
		"#!lua flags=foo\nreturn 1":    "-ERR Unexpected flag in script shebang: foo\r\n",
		"#!python\nreturn 1":           "-ERR Unexpected engine in script shebang: #!python\r\n",
		"#!lua flags=no-writes\nreturn redis.call(\"set\",\"a\",1)": "-ERR Write commands are not allowed from read-only scripts. script: c583b2a7f9f924a459a94bd0592cce7e355cfc32, on @user_script:2.\r\n",
	} {
		if got := r.do("EVAL", script, "0"); got != want {
			t.Errorf("%s\n got %q\nwant %q", script, got, want)
		}
	}
}

func TestScriptsAreKeptBySHA(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if got := r.do("EVALSHA", "0123", "0"); got != "-NOSCRIPT No matching script. Please use EVAL.\r\n" {
		t.Errorf("before: %q", got)
	}
	sha := r.do("SCRIPT", "LOAD", "return ARGV[1]")[5:45]
	if got := r.do("EVALSHA", strings.ToUpper(sha), "0", "x"); got != "$1\r\nx\r\n" {
		t.Errorf("EVALSHA: %q", got)
	}
	if got := r.do("SCRIPT", "EXISTS", sha, "nope"); got != "*2\r\n:1\r\n:0\r\n" {
		t.Errorf("EXISTS: %q", got)
	}
	r.do("SCRIPT", "FLUSH")
	if got := r.do("SCRIPT", "EXISTS", sha); got != "*1\r\n:0\r\n" {
		t.Errorf("after FLUSH: %q", got)
	}
}

// The log gets what a script did, as one unit, and nothing of one that only read.
func TestTheLogGetsTheEffects(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.do("EVAL", "return redis.call('get','a')", "0")
	if len(r.log.text) != 0 {
		t.Fatalf("reading logged %q", r.log.text)
	}
	r.do("EVAL", "redis.call('set',KEYS[1],'1'); redis.call('incr',KEYS[1]); error('late')", "1", "a")
	want := "*1\r\n$5\r\nMULTI\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n" +
		"*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$4\r\nincr\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n"
	if string(r.log.text) != want {
		t.Errorf("logged %q\nwant   %q", r.log.text, want)
	}
}

// A script that never ends is stopped, if it has not written.
func TestEndlessScriptsAreStopped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.do("CONFIG", "SET", "lua-time-limit", "50")
	began := time.Now()
	if got := r.do("EVAL", "while true do end", "0"); !strings.HasPrefix(got, "-ERR Error running script") {
		t.Errorf("replied %q", got)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it ran for %v", took)
	}
	if got := r.do("EVAL", "return 1", "0"); got != ":1\r\n" {
		t.Errorf("afterwards: %q", got)
	}
}

// One that writes and never ends is ended with the database, and nothing of it is kept.
func TestEndlessWritersEndWithTheDatabase(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.do("CONFIG", "SET", "lua-time-limit", "10")
	wrote := make(chan string)
	go func() { wrote <- r.do("EVAL", "redis.call('set','k','v') while true do end", "0") }()
	select {
	case got := <-wrote:
		t.Fatalf("it was stopped though it had written: %q", got)
	case <-time.After(200 * time.Millisecond):
	}
	r.e.Stop()
	if got := <-wrote; !strings.HasPrefix(got, "-ERR") {
		t.Errorf("replied %q", got)
	}
	if len(r.log.text) != 0 {
		t.Errorf("logged %q", r.log.text)
	}
	if got := r.do("GET", "k"); !strings.HasPrefix(got, "-ERR the database is closing") {
		t.Errorf("afterwards: %q", got)
	}
}

// What one script does to its surroundings, the next does not see.
func TestScriptsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.do("EVAL", "redis.setresp(3) return redis.call('select','1')", "0")
	if got := r.do("EVAL", "return redis.call('set','k','v')", "0"); got != "+OK\r\n" {
		t.Errorf("SET: %q", got)
	}
	if got := r.do("GET", "k"); got != "$1\r\nv\r\n" {
		t.Errorf("the second script wrote elsewhere: %q", got)
	}
}

func BenchmarkEval(b *testing.B) {
	e := engine.New(engine.Defaults())
	e.Register(admin.Commands...)
	e.Register(scalars.Commands...)
	e.Register(scripting.New(e).Commands()...)
	c := e.NewClient(engine.Front{})
	defer c.Close()
	sha := e.Do(c, [][]byte{[]byte("script"), []byte("load"), []byte("return redis.call('incrby', KEYS[1], ARGV[1])")}, nil)[5:45]
	args := [][]byte{[]byte("evalsha"), sha, []byte("1"), []byte("k"), []byte("2")}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = e.Do(c, args, out[:0])
	}
}
