package engine_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ mask, commands, want string }{
		{"KEA", "set k 1", "k set"},
		{"KEA", "get none", ""},
		{"KEm", "get none", "none keymiss"},
		{"KEn", "set k 1;set k 2;lpush l 1", "k new;l new"},
		{"KEl", "set k 1;lpush l 1;lpop l", "l lpush;l lpop"},
		{"KEg", "lpush l 1;lpop l;set k 1;rename k x;del x", "l del;k rename_from;x rename_to;x del"},
		{"KE", "set k 1", ""},
		{"A", "set k 1", ""},
		{"KEx", "get due", "due expired"},
		{"KE$g", "set k 1;expire k 100;persist k;append k 1;getdel k", "k set;k expire;k persist;k append;k del"},
	} {
		r := newRig(t)
		r.due("due")
		r.do("a", "config set notify-keyspace-events "+c.mask)
		r.do("spaces", "psubscribe __keyspace@0__:*")
		r.do("events", "psubscribe __keyevent@0__:*")
		for command := range strings.SplitSeq(c.commands, ";") {
			r.do("a", command)
		}
		if got := heard(r.take("spaces"), false); got != c.want {
			t.Errorf("%s, %s: %q, not %q", c.mask, c.commands, got, c.want)
		}
		if got := heard(r.take("events"), true); got != c.want {
			t.Errorf("%s, %s by event: %q, not %q", c.mask, c.commands, got, c.want)
		}
	}
}

// heard reads messages: the keys with their events.
func heard(messages string, byEvent bool) string {
	var all []string
	for message := range strings.SplitSeq(messages, "*4|$8|pmessage|") {
		words := strings.Split(message, "|")
		if len(words) < 6 {
			continue
		}
		_, what, _ := strings.Cut(words[3], "__:")
		if byEvent {
			all = append(all, words[5]+" "+what)
		} else {
			all = append(all, what+" "+words[5])
		}
	}
	return strings.Join(all, ";")
}

func TestEventClasses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "KEA": "AKE", "Kg$": "g$K", "Elxemn": "lxeEmn", "KEg$lshzxetr": "AKE"} {
		classes, ok := engine.ParseClasses(text)
		if !ok || classes.String() != want {
			t.Errorf("%q is shown as %q, not %q", text, classes.String(), want)
		}
	}
	if _, ok := engine.ParseClasses("KEq"); ok {
		t.Error("q is no class")
	}
}

// A subscriber or a monitor that does not read is disconnected when too much waits for it.
func TestSlowListeners(t *testing.T) {
	t.Parallel()
	for _, listens := range []string{"subscribe c", "psubscribe c*", "monitor"} {
		r := newRig(t)
		kicked := false
		r.clients["slow"] = r.e.NewClient(engine.Front{Kick: func() { kicked = true }})
		r.do("slow", listens)
		r.e.Lock()
		r.e.Config().PubSubOutputLimit = 10000
		r.e.Unlock()
		big := strings.Repeat("x", 500)
		for range 20 {
			r.do("a", "publish c "+big)
		}
		if !kicked || !r.client("slow").Closing() {
			t.Errorf("%s: still connected", listens)
		}
		if n := len(r.do("slow2", "ping")); n != len("+PONG|") {
			t.Errorf("others are affected")
		}
		if got := r.do("a", "publish c x"); got != ":0|" {
			t.Errorf("%s: %s still listen", listens, got)
		}
	}
}

// Who waits for a key to expire learns of it though it is overwritten before anybody has looked.
func TestOverwrittenKeysHaveExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.expect(
			"a: config set notify-keyspace-events KEAd", "+OK|",
			"a: set k v px 1", "+OK|",
		)
		r.do("w", "psubscribe __keyevent@0__:*")
		<-time.After(5 * time.Millisecond) // the engine has not been started, and so does not look for what is due
		r.expect("a: set k w", "+OK|")
		got := r.do("w", "ping")
		expired, set := strings.Index(got, "__keyevent@0__:expired"), strings.Index(got, "__keyevent@0__:set")
		if expired < 0 || set < expired {
			t.Errorf("%q", got)
		}
	})
}
