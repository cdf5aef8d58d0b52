package envconfig_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/envconfig"
)

type config struct {
	Cache struct {
		TTL  time.Duration `env:"L1_TTL" envDefault:"10s" unit:"duration" desc:"life in L1"`
		Size int64         `env:"L1_SIZE" envDefault:"9999999999" unit:"bytes" desc:"memory"`
	}
	Addr   []string `env:"REDIS_ADDR" desc:"addresses"`
	Hidden func()   `env:"-"`
}

func TestLoadFillsDefaultsAndValues(t *testing.T) {
	t.Parallel()
	var c config
	if err := envconfig.Load(&c, []string{"ZMSG_L1_TTL=3s", "ZMSG_REDIS_ADDR=a:1,b:2", "L1_TTL=9s"}); err != nil {
		t.Fatal(err)
	}
	if c.Cache.TTL != 3*time.Second || c.Cache.Size != 9999999999 || len(c.Addr) != 2 {
		t.Errorf("got %+v", c)
	}
}

func TestLoadNamesEveryBadVariable(t *testing.T) {
	t.Parallel()
	var c config
	err := envconfig.Load(&c, []string{"ZMSG_L1_TTL=soon", "ZMSG_L1_SIZE=big", "ZMSG_REDIS_ADDR=a:1"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"ZMSG_L1_TTL", "ZMSG_L1_SIZE", "soon", "big"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	if strings.Contains(err.Error(), "REDIS_ADDR") {
		t.Errorf("a good variable is blamed: %q", err)
	}
	if c.Cache.TTL != 10*time.Second || len(c.Addr) != 1 {
		t.Errorf("neither the default nor the good value: %+v", c)
	}
}

func TestUnknownFindsMisspeltNames(t *testing.T) {
	t.Parallel()
	got := envconfig.Unknown(config{}, []string{"ZMSG_L1_TTL=1s", "ZMSG_L1_TLL=1s", "HOME=/"})
	if len(got) != 1 || got[0] != "ZMSG_L1_TLL" {
		t.Errorf("got %v", got)
	}
}

func TestDescribeListsEveryVariable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := envconfig.Describe(&out, config{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ZMSG_L1_TTL", "default 10s; duration", "ZMSG_REDIS_ADDR", "default none", "memory"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
