// Package archtest keeps the import graph of the module as it was drawn: its test fails when a
// package imports what its rule does not allow, when a package has no rule, and when a rule names a
// package that does not exist or allows an import that nobody needs.
package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Package is a package of the module, by its path below the module's root ("." for the root itself).
type Package struct {
	Path        string
	Imports     []string // whole import paths, of the files that are built into programs
	TestImports []string // of the _test.go files
}

// Rule says what a package may import of its own module. A name ending in "/..." means the package
// before it and all below; "..." means all.
type Rule struct {
	Package string
	May     []string
	Tests   []string // what its tests may import beyond May, testSupport and what is below the package
	StdOnly bool     // beyond the standard library nothing of other modules either
}

// Load reads the imports of all packages below dir, the root of the module. Build tags are ignored:
// a rule holds for every file. Other modules below dir are left out.
func Load(dir string) ([]Package, error) {
	byPath := map[string]*Package{}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if file != dir && skipped(file, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		rel, err := filepath.Rel(dir, filepath.Dir(file))
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if byPath[name] == nil {
			byPath[name] = &Package{Path: name}
		}
		return byPath[name].addFile(file)
	})
	if err != nil {
		return nil, err
	}
	pkgs := make([]Package, 0, len(byPath))
	for _, p := range byPath {
		pkgs = append(pkgs, *p)
	}
	slices.SortFunc(pkgs, func(a, b Package) int { return strings.Compare(a.Path, b.Path) })
	return pkgs, nil
}

// skipped reports whether the go command, too, leaves a directory out of "./...".
func skipped(dir, name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func (p *Package) addFile(file string) error {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	imports := &p.Imports
	if strings.HasSuffix(file, "_test.go") {
		imports = &p.TestImports
	}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if !slices.Contains(*imports, imported) {
			*imports = append(*imports, imported)
		}
	}
	return nil
}

// checker holds what is asked of a graph.
type checker struct {
	module      string
	rules       []Rule
	testSupport []string   // every test may import these
	apart       [][]string // in each of these sets, none may import another, whatever its rule says
	found       []string
}

// check returns what is wrong with pkgs, one sentence each.
func (c *checker) check(pkgs []Package) []string {
	c.found = nil
	for _, p := range pkgs {
		rule := c.ruleOf(p.Path)
		if rule == nil {
			c.complain("package %s has no rule: add a line for it to rules in internal/archtest/rules.go, "+
				"with the least that it must import", p.Path)
			continue
		}
		c.checkImports(p.Path, p.Imports, rule, rule.May)
		c.checkImports(p.Path, p.TestImports, rule, slices.Concat(rule.May, rule.Tests, c.testSupport, []string{p.Path + "/..."}))
	}
	c.checkNames(pkgs)
	c.checkNeed(pkgs)
	return c.found
}

// ruleOf returns the rule that names the package most closely.
func (c *checker) ruleOf(pkg string) *Rule {
	var best *Rule
	for i, r := range c.rules {
		if matches(r.Package, pkg) && (best == nil || len(r.Package) > len(best.Package)) {
			best = &c.rules[i]
		}
	}
	return best
}

func (c *checker) checkImports(pkg string, imports []string, rule *Rule, may []string) {
	for _, imported := range imports {
		local, ok := c.local(imported)
		if !ok {
			if rule.StdOnly && strings.Contains(strings.Split(imported, "/")[0], ".") && slices.Equal(may, rule.May) {
				c.complain("%s imports %s: it may import the standard library only", pkg, imported)
			}
			continue
		}
		if !slices.ContainsFunc(may, func(pattern string) bool { return matches(pattern, local) }) {
			c.complain("%s must not import %s", pkg, local)
		}
		for _, set := range c.apart {
			from, to := memberOf(set, pkg), memberOf(set, local)
			if from >= 0 && to >= 0 && from != to {
				c.complain("%s must never import %s: %s are kept apart", pkg, local, strings.Join(set, ", "))
			}
		}
	}
}

// checkNames complains about patterns that match no package: they are rules that nobody keeps.
func (c *checker) checkNames(pkgs []Package) {
	var patterns []string
	for _, r := range c.rules {
		patterns = append(append(append(patterns, r.Package), r.May...), r.Tests...)
	}
	patterns = append(patterns, c.testSupport...)
	slices.Sort(patterns)
	for _, pattern := range slices.Compact(patterns) {
		if !slices.ContainsFunc(pkgs, func(p Package) bool { return matches(pattern, p.Path) }) {
			c.complain("a rule names %s, which does not exist: list a package when it is there, and remove it when it goes", pattern)
		}
	}
}

// checkNeed complains about allowances that no package needs: they would let in what nobody decided on.
// "..." is for packages that are free.
func (c *checker) checkNeed(pkgs []Package) {
	for i := range c.rules {
		rule := &c.rules[i]
		var imports, testImports []string
		for _, p := range pkgs {
			if c.ruleOf(p.Path) == rule {
				imports, testImports = append(imports, p.Imports...), append(testImports, p.TestImports...)
			}
		}
		for _, pattern := range rule.May {
			if !c.needed(pattern, imports) {
				c.complain("%s may import %s, and does not: remove it from the rule, or list it for the tests", rule.Package, pattern)
			}
		}
		for _, pattern := range rule.Tests {
			if !c.needed(pattern, testImports) {
				c.complain("the tests of %s may import %s, and do not: remove it from the rule", rule.Package, pattern)
			}
		}
	}
}

func (c *checker) needed(pattern string, imports []string) bool {
	return pattern == "..." || slices.ContainsFunc(imports, func(imported string) bool {
		local, ok := c.local(imported)
		return ok && matches(pattern, local)
	})
}

// local returns the path below the module's root.
func (c *checker) local(imported string) (string, bool) {
	if imported == c.module {
		return ".", true
	}
	return strings.CutPrefix(imported, c.module+"/")
}

func (c *checker) complain(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// memberOf returns the index of the tree in set that holds pkg, -1 if none does.
func memberOf(set []string, pkg string) int {
	return slices.IndexFunc(set, func(tree string) bool { return matches(path.Join(tree, "..."), pkg) })
}

// matches reports whether pattern names pkg.
func matches(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == tree || strings.HasPrefix(pkg, tree+"/")
	}
	return pattern == pkg
}
