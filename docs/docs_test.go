package docs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/zmsg/zmsg"
)

// serving is the log line that tells the server's addresses.
var serving = regexp.MustCompile(`"msg":"serving","addr":"([^"]+)","admin_addr":"([^"]+)"`)

var transport = &http.Transport{DisableKeepAlives: true}

// get returns the body of a successful answer.
func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

// The commands of the README's tour do what the README shows, and operations.md lists the metrics that
// a server has.
func TestTourAndMetrics(t *testing.T) {
	t.Parallel()
	api, admin := serve(t)
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "scripts", "readme-tour.sh"))
	cmd.Env = append(os.Environ(), "API="+api, "ADMIN="+admin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)

	var metrics string
	eventually(t, "the queue has been measured", func() (err error) {
		metrics, err = get(t.Context(), "http://"+admin+"/metrics")
		if err == nil && !strings.Contains(metrics, "# HELP zmsg_queue_backlog_writes ") {
			err = errors.New("there are no figures of shards")
		}
		return err
	})
	page := read(t, "docs/operations.md")
	served := names(metrics, `(?m)^# HELP (zmsg_\w+)`)
	for _, name := range served {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/operations.md lacks the metric %s", name)
		}
	}
	for _, name := range names(page, "`(zmsg_\\w+)`") {
		if !slices.Contains(served, name) {
			t.Errorf("docs/operations.md names %s, which is no metric", name)
		}
	}
}

// names returns what the pattern's group matches, sorted, each once.
func names(text, pattern string) []string {
	var found []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestREADMENamesEveryRequest(t *testing.T) {
	t.Parallel()
	contract, err := openapi3.NewLoader().LoadFromData(zmsg.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for path, item := range contract.Paths.Map() {
		for method := range item.Operations() {
			want = append(want, method+" "+path)
		}
	}
	slices.Sort(want)
	got := names(read(t, "README.md"), "`((?:GET|HEAD|POST|PUT|PATCH|DELETE) /[^` ]*)`")
	if !slices.Equal(got, want) {
		t.Errorf("README.md names %q,\nthe contract has %q", got, want)
	}
}

// Every test that a page names is there.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w+)\(`)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".dev") {
			return skip(err)
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			have[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for page, text := range pages(t) {
		for _, name := range names(text, "`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`") {
			if !have[name] {
				t.Errorf("%s names %s, which does not exist", page, name)
			}
		}
	}
}

// skip turns "no error" into "do not go in there".
func skip(err error) error {
	if err != nil {
		return err
	}
	return filepath.SkipDir
}

// Links between files of the repository lead somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	for page, text := range pages(t) {
		for _, target := range names(text, `\]\(([^)#\s]+)(?:#[^)]*)?\)`) {
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), target)); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}
