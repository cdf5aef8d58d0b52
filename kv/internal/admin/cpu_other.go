//go:build !unix

package admin

import "github.com/zmsg/zmsg/kv/internal/engine"

func infoCPU(*engine.Engine) []engine.Field { return nil }
