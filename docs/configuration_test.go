package docs_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/cache"
	"github.com/zmsg/zmsg/handlers"
	"github.com/zmsg/zmsg/internal/envconfig"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/queue"
	"github.com/zmsg/zmsg/repo/postgres"
	"github.com/zmsg/zmsg/snowflake"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

const configurationPage = "docs/configuration.md"

// settings returns what "zmsg --help" lists.
func settings(t *testing.T) []envconfig.Variable {
	t.Helper()
	help, err := exec.CommandContext(t.Context(), buildServer(t, t.TempDir()), "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	entry := regexp.MustCompile(`(?m)^  (ZMSG_\w+) +(.+)\n +\(default (.*?)(?:; (.*))?\)$`)
	var list []envconfig.Variable
	for _, m := range entry.FindAllStringSubmatch(string(help), -1) {
		list = append(list, envconfig.Variable{Name: m[1], Desc: m[2], Default: m[3], Unit: m[4]})
	}
	if n := strings.Count(string(help), "\n  "+envconfig.Prefix); n != len(list) || n < 20 {
		t.Fatalf("%d settings could be read of %d:\n%s", len(list), n, help)
	}
	return list
}

// configuration returns the page.
func configuration(list []envconfig.Variable) string {
	sections := []struct {
		title  string
		config any
	}{
		{"HTTP", handlers.Config{}},
		{"PostgreSQL", postgres.Config{}},
		{"Redis", redisconn.Config{}},
		{"Caches", cache.Config{}},
		{"Queue", queue.Config{}},
		{"Shards", shards.Config{}},
		{"IDs", snowflake.Config{}},
	}
	var b strings.Builder
	b.WriteString("# Settings\n\n<!-- Written by \"make docs\" from \"zmsg --help\". -->\n\n" +
		"All settings come from the environment. A value that cannot be read, or that cannot work, keeps the\n" +
		"server from starting; all such are reported at once. A variable that begins with `" + envconfig.Prefix + "` and is no\n" +
		"setting is reported as a warning. Durations are as in `1h30m`, `250ms`.\n")
	rest := slices.Clone(list)
	for _, s := range sections {
		var of []envconfig.Variable
		for _, v := range envconfig.Variables(s.config) {
			if i := slices.IndexFunc(rest, func(r envconfig.Variable) bool { return r.Name == v.Name }); i >= 0 {
				of = append(of, rest[i])
				rest = slices.Delete(rest, i, i+1)
			}
		}
		writeTable(&b, s.title, of)
	}
	writeTable(&b, "The process", rest)
	return b.String()
}

func writeTable(b *strings.Builder, title string, list []envconfig.Variable) {
	fmt.Fprintf(b, "\n## %s\n\n| variable | default | unit | |\n|---|---|---|---|\n", title)
	for _, v := range list {
		def := "none"
		if v.Default != "none" {
			def = "`" + v.Default + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", v.Name, def, strings.ReplaceAll(v.Unit, "|", ", "), strings.ReplaceAll(v.Desc, "|", "\\|"))
	}
}

func TestConfigurationIsCurrent(t *testing.T) {
	t.Parallel()
	want := configuration(settings(t))
	if *update {
		if err := os.WriteFile(filepath.Join(root, configurationPage), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, configurationPage) != want {
		t.Errorf("%s is not what the settings are: run make docs", configurationPage)
	}
}

// The pages name no setting that does not exist, and the README's defaults are the true ones.
func TestNamedSettingsExist(t *testing.T) {
	t.Parallel()
	// Of docker compose, and of binaries built for tests.
	others := []string{"ZMSG_DB_PASSWORD", "ZMSG_FAILPOINT"}
	defaults := map[string]string{}
	for _, v := range settings(t) {
		defaults[v.Name] = v.Default
	}
	for page, text := range pages(t) {
		for _, name := range names(text, `\b(ZMSG_[A-Z0-9_]+)\b`) {
			if _, ok := defaults[name]; !ok && !slices.Contains(others, name) {
				t.Errorf("%s names %s, which is no setting", page, name)
			}
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `(ZMSG_\\w+)` \\| `?([^|`]+)`? \\|").FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(rows) == 0 {
		t.Error("README.md has no table of settings")
	}
	for _, row := range rows {
		if name, def := row[1], strings.TrimSpace(row[2]); defaults[name] != def {
			t.Errorf("README.md says that the default of %s is %s, it is %s", name, def, defaults[name])
		}
	}
}
