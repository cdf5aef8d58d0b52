package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/envconfig"
	"github.com/zmsg/zmsg/internal/testenv"
)

// Values that cannot be read and values that make no sense are reported together.
func TestAllBadVariablesAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	bad := map[string]string{
		"ZMSG_L1_TTL":              "soon",
		"ZMSG_MAX_CONTENT_BYTES":   "many",
		"ZMSG_QUEUE_SHARDS":        "0",
		"ZMSG_PERMISSION_TTL":      "1ms",
		"ZMSG_DEFAULT_STORE":       "maybe",
		"ZMSG_MAX_BODY_BYTES":      "65535",
		"ZMSG_LOG_LEVEL":           "loud",
		"ZMSG_LOG_FORMAT":          "xml",
		"ZMSG_REDIS_ADDR":          "nowhere",
		"ZMSG_REDIS_POOL_SIZE":     "-1",
		"ZMSG_ID_WINDOW":           "1ns",
		"ZMSG_POSTGRES_DSN":        "postgres://app:hunter2@host:port/db",
		"ZMSG_POSTGRES_MAX_CONNS":  "0",
		"ZMSG_QUEUE_DURABILITY":    "hope",
		"ZMSG_QUEUE_WORKERS":       "0",
		"ZMSG_L1_MAX_BYTES":        "1048575",
		"ZMSG_BLOOM_ITEMS":         "0",
		"ZMSG_BLOOM_ERROR":         "1",
		"ZMSG_SHUTDOWN_GRACE":      "0s",
		"ZMSG_TOMBSTONE_RETENTION": "-1h",
	}
	var env []string
	for name, value := range bad {
		env = append(env, name+"="+value)
	}
	r := execute(t, nil, env...)
	if r.code != exitUsage {
		t.Errorf("exit code %d", r.code)
	}
	for name := range bad {
		if n := strings.Count(r.stderr, name+":") + strings.Count(r.stderr, name+", "); n != 1 {
			t.Errorf("%s is named %d times", name, n)
		}
	}
	if strings.Contains(r.stderr, "hunter2") {
		t.Error("the password is shown")
	}
	if strings.Contains(r.stderr, "ZMSG_L2_TTL") || t.Failed() {
		t.Errorf("stderr:\n%s", r.stderr)
	}
}

func TestNothingConfiguredNamesWhatIsNeeded(t *testing.T) {
	t.Parallel()
	r := execute(t, nil)
	if r.code != exitUsage || !strings.Contains(r.stderr, "ZMSG_POSTGRES_DSN: ") || !strings.Contains(r.stderr, "ZMSG_REDIS_ADDR: ") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

func TestAMisspeltVariableIsWarnedAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := launch(t, w.env("ZMSG_L1_TLL=secretvalue")...)
	text := p.logs.String()
	if !strings.Contains(text, `"level":"warn"`) || !strings.Contains(text, "ZMSG_L1_TLL") || strings.Contains(text, "secretvalue") {
		t.Errorf("log:\n%s", text)
	}
}

// Passwords that are wrong, for a database and a Redis that are there, are what tempts a program to
// show them.
func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	w := newWorld(t)
	if _, err := w.redis.Do(t.Context(), "CONFIG", "SET", "requirepass", secret); err != nil {
		t.Fatal(err)
	}
	_, host, _ := strings.Cut(w.dsn, "@")
	withPassword := "postgres://nobody:" + secret + "@" + host
	for name, env := range map[string][]string{
		"URL":      {"ZMSG_POSTGRES_DSN=" + withPassword, "ZMSG_REDIS_PASSWORD=" + secret},
		"Keywords": {"ZMSG_POSTGRES_DSN=host=127.0.0.1 port=1 user=app dbname=x password=" + secret},
		"Quoted":   {"ZMSG_POSTGRES_DSN=host=127.0.0.1 port=one user=app password='" + secret + " more'"},
		"NoURL":    {"ZMSG_POSTGRES_DSN=postgres//app:" + secret + "@host/db"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, args := range [][]string{nil, {"migrate", "up"}} {
				r := execute(t, args, w.env(append(env, "ZMSG_LOG_LEVEL=debug", "ZMSG_START_TIMEOUT=300ms")...)...)
				if r.code == exitOK {
					t.Errorf("%q succeeded", args)
				}
				if all := r.stdout + r.stderr; strings.Contains(all, secret) {
					t.Errorf("%q shows the password:\n%s", args, all)
				}
			}
		})
	}
	// The right one for Redis is shown neither.
	p := launch(t, w.env("ZMSG_REDIS_PASSWORD="+secret, "ZMSG_LOG_LEVEL=debug")...)
	newClient(t).must(t, http.StatusCreated, http.MethodPost, p.URL+"/feeds", `{"author_id":"1","content":0}`)
	if strings.Contains(p.logs.String(), secret) {
		t.Error("the log shows the password of Redis")
	}
}

func TestHelpListsEveryVariable(t *testing.T) {
	t.Parallel()
	r := execute(t, []string{"--help"})
	if r.code != exitOK || r.stderr != "" {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	vars := envconfig.Variables(Config{})
	if len(vars) < 40 {
		t.Fatalf("%d variables only", len(vars))
	}
	for _, v := range vars {
		if v.Desc == "" {
			t.Errorf("%s has no description", v.Name)
		}
		def := v.Default
		if def == "" {
			def = "none"
		}
		at := strings.Index(r.stdout, "  "+v.Name+" ")
		if at < 0 {
			t.Errorf("%s is missing", v.Name)
			continue
		}
		lines := strings.SplitN(r.stdout[at:], "\n", 3)
		if !strings.Contains(lines[0], v.Desc) || !strings.Contains(lines[1], "(default "+def) || !strings.Contains(lines[1], v.Unit) {
			t.Errorf("%s is described as\n%s\n%s", v.Name, lines[0], lines[1])
		}
	}
	for _, c := range []string{"serve", "migrate up", "migrate down N", "migrate force N", "migrate version", "healthcheck"} {
		if !strings.Contains(r.stdout, c) {
			t.Errorf("the command %q is missing", c)
		}
	}
}

func TestVersionAndUnknownCommands(t *testing.T) {
	t.Parallel()
	if r := execute(t, []string{"--version"}); r.code != exitOK || !strings.HasPrefix(r.stdout, "zmsg ") {
		t.Errorf("version: exit code %d, %q", r.code, r.stdout)
	}
	for _, args := range [][]string{{"frobnicate"}, {"serve", "now"}, {"--verbose"}, {"healthcheck", "all"}, {"migrate"}, {"migrate", "sideways"}} {
		r := execute(t, args, "ZMSG_POSTGRES_DSN=postgres://app@127.0.0.1:1/x", "ZMSG_REDIS_ADDR=127.0.0.1:1")
		if r.code != exitUsage || !strings.Contains(r.stderr, "--help") || r.stdout != "" {
			t.Errorf("%q: exit code %d, stderr %q", args, r.code, r.stderr)
		}
	}
}

func TestMigrateUpDownForceVersion(t *testing.T) {
	t.Parallel()
	dsn := "ZMSG_POSTGRES_DSN=" + testenv.DB(t)
	latest := "12, this program knows up to 12"
	for _, step := range []struct {
		args       []string
		code       int
		out, error string
	}{
		{[]string{"version"}, exitOK, "schema version 0,", ""},
		{[]string{"up"}, exitOK, "schema version " + latest, "database migrated"},
		{[]string{"up"}, exitOK, "schema version " + latest, ""},
		{[]string{"down", "2"}, exitOK, "schema version 10,", "migrations taken back"},
		{[]string{"up"}, exitOK, "schema version " + latest, ""},
		{[]string{"down", "99"}, exitFailed, "", "cannot take back 99"},
		{[]string{"down", "0"}, exitUsage, "", "no number"},
		{[]string{"down"}, exitUsage, "", "one of"},
		{[]string{"force", "3"}, exitOK, "schema version 3,", ""},
		{[]string{"force", "999"}, exitFailed, "", "there is no migration 999"},
		{[]string{"force", "x"}, exitUsage, "", "no version"},
		{[]string{"force", "12"}, exitOK, "schema version " + latest, ""},
		{[]string{"down", "12"}, exitOK, "schema version 0,", ""},
	} {
		r := execute(t, append([]string{"migrate"}, step.args...), dsn)
		if r.code != step.code || !strings.Contains(r.stdout, step.out) || !strings.Contains(r.stderr, step.error) {
			t.Fatalf("migrate %q: exit code %d, stdout %q, stderr %q", step.args, r.code, r.stdout, r.stderr)
		}
	}
	if r := execute(t, []string{"migrate", "up"}); r.code != exitUsage || !strings.Contains(r.stderr, "ZMSG_POSTGRES_DSN") {
		t.Errorf("without a database: exit code %d, %q", r.code, r.stderr)
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := launch(t, w.env()...)
	addr := strings.TrimPrefix(p.URL, "http://")
	_, port, _ := strings.Cut(addr, ":")
	for _, a := range []string{addr, ":" + port, "0.0.0.0:" + port} {
		if r := execute(t, []string{"healthcheck"}, "ZMSG_ADDR="+a); r.code != exitOK {
			t.Errorf("%s of a ready service: exit code %d, %s", a, r.code, r.stderr)
		}
	}
	if _, err := w.redis.Do(t.Context(), "CONFIG", "SET", "maxmemory-policy", "allkeys-lru"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the service is not ready", func() bool {
		r := execute(t, []string{"healthcheck"}, "ZMSG_ADDR="+addr)
		return r.code == exitFailed && strings.Contains(r.stderr, "not ready: 503")
	})
	if lines := strings.Split(p.logs.String(), "\n"); slices.ContainsFunc(lines, func(l string) bool { return l != "" && l[0] != '{' }) {
		t.Errorf("the log has lines that are no JSON:\n%s", p.logs.String())
	}
	p.Kill(t)
	if r := execute(t, []string{"healthcheck"}, "ZMSG_ADDR="+addr); r.code != exitFailed {
		t.Errorf("of a dead service: exit code %d", r.code)
	}
	if r := execute(t, []string{"healthcheck"}, "ZMSG_ADDR=here"); r.code != exitUsage {
		t.Errorf("of no address: exit code %d", r.code)
	}
}

func TestARedisThatMayEvictQueuedWritesFailsReadiness(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
	p := spawn(t, testenv.Program(t, program), w.env()...)
	p.awaitServing(t)
	c := newClient(t)
	check := func(status int, detail string) {
		t.Helper()
		eventually(t, 10*time.Second, detail, func() bool {
			a, err := c.call(t.Context(), http.MethodGet, p.URL+"/readyz?verbose", "")
			return err == nil && a.status == status && strings.Contains(a.body, detail)
		})
	}
	check(http.StatusServiceUnavailable, "allkeys-lru may evict queued writes: set maxmemory-policy to noeviction or volatile-lru")
	// It is noticed when it is mended, without a restart.
	if _, err := w.redis.Do(t.Context(), "CONFIG", "SET", "maxmemory-policy", "volatile-lru"); err != nil {
		t.Fatal(err)
	}
	check(http.StatusOK, "volatile-lru")
}
