// Package envconfig reads configuration structs from the environment and describes them. A field is a
// variable by its tags: env (name), envDefault, unit and desc.
package envconfig

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v10"
)

// Prefix begins the name of every variable.
const Prefix = "ZMSG_"

// Variable is one setting.
type Variable struct {
	Name    string // with Prefix
	Default string
	Unit    string
	Desc    string
}

// Load fills target, a pointer to a struct, from environ (lines of the form NAME=value). All errors are
// reported at once, each with the name of its variable, which then has its default: so the rest can be
// checked as well.
func Load(target any, environ []string) error {
	vars := toMap(environ)
	if env.ParseWithOptions(target, env.Options{Prefix: Prefix, Environment: vars}) == nil {
		return nil
	}
	// The library names fields, not variables, so ask it about one variable after the other.
	var errs []error
	for _, v := range Variables(target) {
		value, set := vars[v.Name]
		if !set {
			continue
		}
		probe := reflect.New(reflect.TypeOf(target).Elem()).Interface()
		one := map[string]string{v.Name: value}
		if err := env.ParseWithOptions(probe, env.Options{Prefix: Prefix, Environment: one}); err != nil {
			errs = append(errs, fmt.Errorf("%s: %q is not a valid value: %s", v.Name, value, v.Desc))
			delete(vars, v.Name)
		}
	}
	if err := env.ParseWithOptions(target, env.Options{Prefix: Prefix, Environment: vars}); err != nil {
		return errors.New("the configuration cannot be read")
	}
	return errors.Join(errs...)
}

// Unknown returns the variables of environ that begin with Prefix and are no setting of target, sorted:
// most likely they are misspelt.
func Unknown(target any, environ []string) []string {
	known := make(map[string]bool)
	for _, v := range Variables(target) {
		known[v.Name] = true
	}
	var unknown []string
	for name := range toMap(environ) {
		if strings.HasPrefix(name, Prefix) && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

func toMap(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

// Variables returns the settings of target, a struct or a pointer to one, in the order of its fields.
func Variables(target any) []Variable {
	t := reflect.TypeOf(target)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return variables(t)
}

func variables(t reflect.Type) []Variable {
	var list []Variable
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		switch {
		case name == "-":
		case name != "":
			list = append(list, Variable{Name: Prefix + name, Default: f.Tag.Get("envDefault"), Unit: f.Tag.Get("unit"), Desc: f.Tag.Get("desc")})
		case f.Type.Kind() == reflect.Struct:
			list = append(list, variables(f.Type)...)
		}
	}
	return list
}

// Describe writes a table of the settings for a person.
func Describe(w io.Writer, target any) error {
	list := Variables(target)
	width := 0
	for _, v := range list {
		width = max(width, len(v.Name))
	}
	var b strings.Builder
	for _, v := range list {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, v.Name, v.Desc)
		def := v.Default
		if def == "" {
			def = "none"
		}
		fmt.Fprintf(&b, "  %-*s  (default %s", width, "", def)
		if v.Unit != "" {
			fmt.Fprintf(&b, "; %s", v.Unit)
		}
		b.WriteString(")\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
