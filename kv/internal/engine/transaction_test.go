package engine_test

import "testing"

func TestTransactions(t *testing.T) {
	t.Parallel()
	for _, steps := range [][]string{
		{"a: exec", "-ERR EXEC without MULTI|", "a: discard", "-ERR DISCARD without MULTI|"},
		{
			"a: multi", "+OK|", "a: multi", "-ERR MULTI calls can not be nested|", "a: watch k", "-ERR WATCH inside MULTI is not allowed|",
			"a: set k 1", "+QUEUED|", "a: lpush k x", "+QUEUED|", "a: incr k", "+QUEUED|",
			"b: get k", "$-1|",
			"a: exec", "*3|+OK|-WRONGTYPE Operation against a key holding the wrong kind of value|:2|",
		},
		{
			"a: multi", "+OK|", "a: nosuch", "-ERR unknown command 'nosuch', with args beginning with: |",
			"a: set k 1", "+QUEUED|", "a: exec", "-EXECABORT Transaction discarded because of previous errors.|", "a: get k", "$-1|",
		},
		{
			"a: multi", "+OK|", "a: get", "-ERR wrong number of arguments for 'get' command|",
			"a: discard", "+OK|", "a: ping", "+PONG|",
		},
		{"a: multi", "+OK|", "a: exec", "*0|"},
		{
			"a: multi", "+OK|", "a: blpop none 0", "+QUEUED|", "a: exec", "*1|*-1|",
		},
		{
			"a: multi", "+OK|", "a: select 3", "+QUEUED|", "a: set k 3", "+QUEUED|", "a: exec", "*2|+OK|+OK|",
			"a: get k", "$1|3|", "b: get k", "$-1|",
		},
		{
			"a: config set requirepass secret", "+OK|", "a: ping", "+PONG|", "b: ping", "-NOAUTH Authentication required.|",
			"b: auth wrong", "-WRONGPASS invalid username-password pair or user is disabled.|", "b: auth secret", "+OK|", "b: ping", "+PONG|",
			"b: reset", "+RESET|", "b: ping", "-NOAUTH Authentication required.|",
			"a: config set requirepass _", "+OK|", "b: ping", "+PONG|",
		},
	} {
		newRig(t).expect(steps...)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	const fails, works = "*-1|", "*1|+PONG|"
	for _, c := range []struct{ before, change, want string }{
		{"set k 1", "set k 1", fails},
		{"set k 1", "get k", works},
		{"set k 1", "del k", fails},
		{"ping", "del k", works},
		{"ping", "set k 1", fails},
		{"set k 1", "set other 1", works},
		{"set k 1", "flushall", fails},
		{"ping", "flushall", works},
		{"set k 1", "swapdb 0 1", fails},
		{"ping", "swapdb 0 1", works},
		{"set k 1", "pexpire k 100000", fails},
		{"set k 1", "rename k other", fails},
		{"set k 1", "move k 5", fails},
		{"sadd k 1", "sadd k 1", works},
		{"sadd k 1", "srem k 1", fails},
		{"set o 1", "copy o k", fails},
	} {
		r := newRig(t)
		r.do("b", c.before)
		r.expect("a: watch k", "+OK|", "a: multi", "+OK|", "a: ping", "+QUEUED|")
		r.do("b", c.change)
		if got := r.do("a", "exec"); got != c.want {
			t.Errorf("%s, watch, %s: exec %q", c.before, c.change, got)
		}
		// The watch is over, whatever EXEC said.
		r.do("b", "set k 2")
		r.expect("a: multi", "+OK|", "a: ping", "+QUEUED|", "a: exec", works)
	}
}

func TestWatchOver(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"unwatch", "reset"} {
		r := newRig(t)
		r.do("a", "watch k")
		r.do("a", over)
		r.expect("b: set k 1", "+OK|", "a: multi", "+OK|", "a: ping", "+QUEUED|", "a: exec", "*1|+PONG|")
	}
	r := newRig(t)
	r.expect("a: watch k", "+OK|", "b: set k 1", "+OK|", "a: unwatch", "+OK|", "a: multi", "+OK|", "a: exec", "*0|")
}

func TestWatchDueKeys(t *testing.T) {
	t.Parallel()
	// A key that was due when it was watched has not changed when it is removed.
	for _, removes := range []string{"get k", "flushall", "ping"} {
		r := newRig(t)
		r.due("k")
		r.do("a", "watch k")
		r.do("b", removes)
		r.expect("a: multi", "+OK|", "a: exec", "*0|")
	}
	r := newRig(t)
	r.due("k")
	r.expect("a: watch k", "+OK|", "b: set k 1", "+OK|", "a: multi", "+OK|", "a: exec", "*-1|")
	// One that runs out afterwards has, even if nobody has removed it.
	r = newRig(t)
	r.do("a", "watch k")
	r.due("k")
	r.expect("a: multi", "+OK|", "a: exec", "*-1|")
}

func TestUnitsInTheLog(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		commands []string
		want     string
	}{
		{[]string{"set k 1", "get k", "del none"}, "SELECT 0; set k 1"},
		{[]string{"incr k"}, "incr k"},
		{[]string{"multi", "get k", "exec"}, ""},
		{[]string{"multi", "incr k", "exec"}, "incr k"},
		{[]string{"multi", "incr k", "get k", "incr k", "exec"}, "MULTI; incr k; incr k; EXEC"},
		{[]string{"multi", "select 4", "incr k", "select 0", "incr k", "exec"}, "MULTI; SELECT 4; incr k; SELECT 0; incr k; EXEC"},
		{[]string{"multi", "incr k", "discard"}, ""},
		{[]string{"select 2", "set k 1", "select 0"}, "SELECT 2; set k 1"},
		{[]string{"incr k"}, "SELECT 0; incr k"},
	} {
		for _, command := range c.commands {
			r.do("a", command)
		}
		if got := r.logged(); got != c.want {
			t.Errorf("%q logs %q, not %q", c.commands, got, c.want)
		}
	}
	r.due("gone")
	r.expect("a: multi", "+OK|", "a: get gone", "+QUEUED|", "a: set k 1", "+QUEUED|", "a: exec", "*2|$-1|+OK|")
	if got := r.logged(); got != "MULTI; DEL gone; set k 1; EXEC" {
		t.Errorf("a due key in a transaction: %q", got)
	}
	r.e.Lock()
	r.e.RestartLog()
	r.e.Unlock()
	r.do("a", "incr k")
	if got := r.logged(); got != "SELECT 0; incr k" {
		t.Errorf("in a new file: %q", got)
	}
	r.e.DoAll(r.client("a"), func(run func(...[]byte) []byte) {
		run([]byte("set"), []byte("x"), []byte("1"))
		run([]byte("set"), []byte("y"), []byte("1"))
	})
	if got := r.logged(); got != "MULTI; set x 1; set y 1; EXEC" {
		t.Errorf("DoAll: %q", got)
	}
}
