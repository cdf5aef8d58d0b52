package archtest

import (
	"slices"
	"strings"
	"testing"
)

func TestImportGraph(t *testing.T) {
	t.Parallel()
	pkgs, err := Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(pkgs, func(p Package) bool { return p.Path == "internal/archtest" && len(p.Imports) > 0 }) {
		t.Fatalf("this very package was not found among %d", len(pkgs))
	}
	c := &checker{module: module, rules: rules, testSupport: testSupport, apart: apart}
	for _, complaint := range c.check(pkgs) {
		t.Error(complaint)
	}
}

// TestCheckerComplains makes sure that silence of the test above means something.
func TestCheckerComplains(t *testing.T) {
	t.Parallel()
	good := func() []Package {
		return []Package{
			{Path: ".", Imports: []string{"m/a", "m/b/sub"}, TestImports: []string{"m/base"}},
			{Path: "a", Imports: []string{"fmt", "m/base"}, TestImports: []string{"m/a", "m/a/atest", "m/support", "example.com/x"}},
			{Path: "a/atest", Imports: []string{"m/a"}},
			{Path: "b/sub", Imports: []string{"example.com/x", "m/base"}},
			{Path: "base", Imports: []string{"encoding/json"}, TestImports: []string{"example.com/x"}},
			{Path: "support"},
		}
	}
	for _, tt := range []struct {
		name   string
		change func(pkgs []Package) []Package
		want   string // part of the only complaint, "" for none
	}{
		{"Good", func(p []Package) []Package { return p }, ""},
		{"NotAllowed", func(p []Package) []Package { p[4].Imports = append(p[4].Imports, "m/support"); return p }, "base must not import support"},
		{"RootNotAllowed", func(p []Package) []Package { p[4].Imports = append(p[4].Imports, "m"); return p }, "base must not import ."},
		{"TestNotAllowed", func(p []Package) []Package { p[4].TestImports = []string{"m/a"}; return p }, "base must not import a"},
		{"SupportOutsideTests", func(p []Package) []Package { p[1].Imports = append(p[1].Imports, "m/support"); return p }, "a must not import support"},
		{"Apart", func(p []Package) []Package { p[2].Imports = append(p[2].Imports, "m/b/sub"); return p }, "a/atest must never import b/sub"},
		{"StdOnly", func(p []Package) []Package { p[4].Imports = append(p[4].Imports, "example.com/x"); return p }, "standard library only"},
		{"NoRule", func(p []Package) []Package { return append(p, Package{Path: "new"}) }, "package new has no rule"},
		{"Gone", func(p []Package) []Package { return p[:5] }, "names support, which does not exist"},
		{"NotNeeded", func(p []Package) []Package { p[3].Imports = nil; return p }, "b/... may import base, and does not"},
		{"NotNeededByTests", func(p []Package) []Package { p[0].TestImports = nil; return p }, "the tests of . may import base, and do not"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &checker{
				module: "m",
				rules: []Rule{
					{Package: ".", May: []string{"..."}, Tests: []string{"base"}},
					{Package: "a", May: []string{"base"}},
					{Package: "a/atest", May: []string{"..."}},
					{Package: "b/...", May: []string{"base"}},
					{Package: "base", StdOnly: true},
					{Package: "support"},
				},
				testSupport: []string{"support"},
				apart:       [][]string{{"a", "b"}},
			}
			got := c.check(tt.change(good()))
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Errorf("complaints are %q, want one with %q", got, tt.want)
			}
		})
	}
}
