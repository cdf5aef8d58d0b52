package admin_test

import (
	"strings"
	"testing"
)

// What takes long is in the slow log, the latest first, shortened and without passwords.
func TestSlowLog(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect(
		"a: SLOWLOG LEN", ":0|",
		"a: CONFIG SET slowlog-max-len 3 slowlog-log-slower-than 0", "+OK|",
		"a: SLOWLOG RESET", "+OK|",
		"a: CLIENT SETNAME me", "+OK|",
		"a: AUTH secret", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?|",
		"a: CONFIG SET requirepass secret", "+OK|",
		"a: SET k "+strings.Repeat("x", 130), "+OK|",
		"a: CONFIG SET slowlog-log-slower-than -1", "+OK|",
		"a: SLOWLOG LEN", ":3|",
	)
	got := r.do("a", "SLOWLOG GET -1")
	for _, want := range []string{
		"*3|*6|:6|:", "*4|$6|CONFIG|$3|SET|$23|slowlog-log-slower-than|$2|-1|$1|a|$2|me|",
		"*3|$3|SET|$1|k|$146|" + strings.Repeat("x", 128) + "... (2 more bytes)|",
		"*4|$6|CONFIG|$3|SET|$11|requirepass|$10|(redacted)|",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if strings.Contains(got, "secret") {
		t.Errorf("a password is in %q", got)
	}
	r.expect(
		"a: SLOWLOG GET 0", "*0|",
		"a: SLOWLOG GET -2", "-ERR count should be greater than or equal to -1|",
		"a: SLOWLOG RESET", "+OK|",
		"a: SLOWLOG GET", "*0|",
	)
}

// Of a long command, the slow log has the first arguments; of a transaction, the commands in it.
func TestSlowLogOfTransactions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect(
		"a: CONFIG SET slowlog-log-slower-than 0", "+OK|",
		"a: MULTI", "+OK|",
		"a: DEL"+strings.Repeat(" k", 40), "+QUEUED|",
		"a: EXEC", "*1|:0|",
	)
	got := r.do("a", "SLOWLOG GET")
	if !strings.Contains(got, "*32|$3|DEL|$1|k|") || !strings.Contains(got, "$23|... (10 more arguments)|") {
		t.Errorf("%q", got)
	}
	if strings.Contains(got, "EXEC") {
		t.Errorf("EXEC is in %q", got)
	}
}
