package main

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/zmsg/zmsg"
	"github.com/zmsg/zmsg/handlers"
	"github.com/zmsg/zmsg/internal/envconfig"
)

// Config is everything that the program reads from the environment.
type Config struct {
	HTTP       handlers.Config
	DrainDelay time.Duration `env:"DRAIN_DELAY" envDefault:"1s" unit:"duration" desc:"at shutdown, how long requests are still taken after readiness fails, so that load balancers notice"`
	LogLevel   string        `env:"LOG_LEVEL" envDefault:"info" unit:"debug|info|warn|error" desc:"least severe log lines that are written"`
	LogFormat  string        `env:"LOG_FORMAT" envDefault:"json" unit:"json|console" desc:"form of log lines"`
	Engine     zmsg.Config
}

// validate reports everything that is wrong, each by the name of its variable.
func (c *Config) validate() error {
	err := errors.Join(prefixed(c.HTTP.Validate()), prefixed(c.Engine.Validate()))
	if c.HTTP.MaxBodyBytes < int64(c.Engine.MaxContentBytes) {
		err = errors.Join(err, errors.New(envconfig.Prefix+"MAX_BODY_BYTES: must be at least MAX_CONTENT_BYTES"))
	}
	if c.DrainDelay < 0 {
		err = errors.Join(err, errors.New(envconfig.Prefix+"DRAIN_DELAY: must not be negative"))
	}
	if _, e := zapcore.ParseLevel(c.LogLevel); e != nil {
		err = errors.Join(err, fmt.Errorf("%sLOG_LEVEL: %q is none of debug, info, warn, error", envconfig.Prefix, c.LogLevel))
	}
	if c.LogFormat != "json" && c.LogFormat != "console" {
		err = errors.Join(err, fmt.Errorf("%sLOG_FORMAT: %q is neither json nor console", envconfig.Prefix, c.LogFormat))
	}
	return err
}

// prefixed puts the prefix before each of joined errors, which begin with the names of variables.
func prefixed(err error) error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s%w", envconfig.Prefix, err)
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, prefixed(e))
	}
	return errors.Join(list...)
}

// Of lines with the same text, so many are written in each second, then one in so many.
const (
	sampleFirst      = 5
	sampleThereafter = 1000
)

func (c *Config) logger(errOut zapcore.WriteSyncer) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(c.LogLevel)
	if err != nil {
		return nil, err
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoder := zapcore.NewJSONEncoder(enc)
	if c.LogFormat == "console" {
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	// An outage fails every request in the same words: a few of them tell it, metrics count the rest.
	core := zapcore.NewSamplerWithOptions(zapcore.NewCore(encoder, errOut, level), time.Second, sampleFirst, sampleThereafter)
	return zap.New(core), nil
}
