package handlers

import (
	"errors"
	"fmt"
	"time"
)

// Config is what operators may set. The root package puts a prefix before the names.
type Config struct {
	Addr              string        `env:"ADDR" envDefault:":8080" unit:"host:port" desc:"where the API listens"`
	AdminAddr         string        `env:"ADMIN_ADDR" envDefault:"127.0.0.1:9090" unit:"host:port|off" desc:"where metrics, profiles and statistics are served; off for nowhere"`
	MaxBodyBytes      int64         `env:"MAX_BODY_BYTES" envDefault:"131072" unit:"bytes" desc:"largest body of a request for one item"`
	MaxBatchBytes     int64         `env:"MAX_BATCH_BYTES" envDefault:"8388608" unit:"bytes" desc:"largest body of a batch"`
	MaxHeaderBytes    int64         `env:"MAX_HEADER_BYTES" envDefault:"32768" unit:"bytes" desc:"largest request line and headers"`
	RequestTimeout    time.Duration `env:"REQUEST_TIMEOUT" envDefault:"15s" unit:"duration" desc:"longest work on one request"`
	ReadHeaderTimeout time.Duration `env:"READ_HEADER_TIMEOUT" envDefault:"5s" unit:"duration" desc:"longest wait for the headers of a request"`
	ReadTimeout       time.Duration `env:"READ_TIMEOUT" envDefault:"30s" unit:"duration" desc:"longest wait for a whole request"`
	WriteTimeout      time.Duration `env:"WRITE_TIMEOUT" envDefault:"60s" unit:"duration" desc:"longest time from the headers of a request to the end of its response"`
	IdleTimeout       time.Duration `env:"IDLE_TIMEOUT" envDefault:"120s" unit:"duration" desc:"how long an idle connection is kept"`
	ShutdownGrace     time.Duration `env:"SHUTDOWN_GRACE" envDefault:"10s" unit:"duration" desc:"longest wait for open requests at shutdown"`
	AccessLog         AccessLog     `env:"ACCESS_LOG" envDefault:"off" unit:"off|errors|all|rate" desc:"which requests are logged; a rate from 0 to 1 logs that share of them"`
}

// Validate reports everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	positive := func(name string, n int64) {
		if n <= 0 {
			errs = append(errs, fmt.Errorf("%s: must be positive", name))
		}
	}
	positive("MAX_BODY_BYTES", c.MaxBodyBytes)
	positive("MAX_BATCH_BYTES", c.MaxBatchBytes)
	positive("MAX_HEADER_BYTES", c.MaxHeaderBytes)
	positive("REQUEST_TIMEOUT", int64(c.RequestTimeout))
	positive("READ_HEADER_TIMEOUT", int64(c.ReadHeaderTimeout))
	positive("READ_TIMEOUT", int64(c.ReadTimeout))
	positive("IDLE_TIMEOUT", int64(c.IdleTimeout))
	positive("SHUTDOWN_GRACE", int64(c.ShutdownGrace))
	if c.WriteTimeout <= c.RequestTimeout {
		errs = append(errs, errors.New("WRITE_TIMEOUT: must be longer than REQUEST_TIMEOUT"))
	}
	return errors.Join(errs...)
}
