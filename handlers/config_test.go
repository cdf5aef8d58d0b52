package handlers_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caarlos0/env/v10"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zmsg/zmsg/handlers"
)

func parseConfig(t *testing.T, environment map[string]string) (handlers.Config, error) {
	t.Helper()
	var c handlers.Config
	err := env.ParseWithOptions(&c, env.Options{Prefix: "ZMSG_", Environment: environment})
	return c, err
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	c, err := parseConfig(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err = c.Validate(); err != nil {
		t.Fatalf("the defaults are refused: %v", err)
	}
	if c.Addr != ":8080" || c.AdminAddr != "127.0.0.1:9090" || c.MaxBodyBytes != 131072 || c.RequestTimeout != 15*time.Second {
		t.Errorf("defaults %+v", c)
	}
	fields := reflect.TypeFor[handlers.Config]()
	for i := range fields.NumField() {
		for _, tag := range []string{"env", "envDefault", "unit", "desc"} {
			if fields.Field(i).Tag.Get(tag) == "" {
				t.Errorf("%s has no %s", fields.Field(i).Name, tag)
			}
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	c, err := parseConfig(t, map[string]string{
		"ZMSG_MAX_BODY_BYTES": "0", "ZMSG_WRITE_TIMEOUT": "1s", "ZMSG_IDLE_TIMEOUT": "0s",
		"ZMSG_ACCESS_LOG": "0.01",
	})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Validate()
	for _, name := range []string{"MAX_BODY_BYTES", "WRITE_TIMEOUT", "IDLE_TIMEOUT"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not reported: %v", name, err)
		}
	}
	if _, err = parseConfig(t, map[string]string{"ZMSG_ACCESS_LOG": "sometimes"}); err == nil {
		t.Error("ACCESS_LOG is not checked")
	}
	d := deps(newFake(), c)
	if _, err = handlers.New(d); err == nil {
		t.Error("New takes a bad configuration")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := handlers.New(handlers.Deps{Config: testConfig()}); err == nil {
		t.Error("New takes no dependencies")
	}
	d := deps(newFake(), testConfig())
	d.Registerer = prometheus.NewRegistry()
	newHandler(t, d)
	if _, err := handlers.New(d); err == nil {
		t.Error("New registers its metrics twice")
	}
}

func TestServersHaveLimits(t *testing.T) {
	t.Parallel()
	c := testConfig()
	s := handlers.NewServer(&c, http.NotFoundHandler())
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= c.RequestTimeout || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("server without a limit: %+v", s)
	}
	a := handlers.NewAdminServer(&c, http.NotFoundHandler())
	if a.ReadHeaderTimeout <= 0 || a.WriteTimeout != 0 || a.MaxHeaderBytes <= 0 {
		t.Errorf("admin server: %+v", a)
	}
}
