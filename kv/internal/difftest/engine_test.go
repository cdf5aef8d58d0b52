package difftest

import (
	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/geo"
	"github.com/zmsg/zmsg/kv/internal/hashes"
	keycommands "github.com/zmsg/zmsg/kv/internal/keys"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/pubsub"
	"github.com/zmsg/zmsg/kv/internal/scalars"
	"github.com/zmsg/zmsg/kv/internal/scripting"
	"github.com/zmsg/zmsg/kv/internal/sets"
	"github.com/zmsg/zmsg/kv/internal/streams"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// newEngine returns an engine with all commands that Redis has too.
func newEngine() *engine.Engine {
	e := engine.New(engine.Defaults())
	for _, commands := range [][]*engine.Command{
		scalars.Commands, lists.Commands, hashes.Commands, sets.Commands, zsets.Commands, geo.Commands, streams.Commands,
		pubsub.Commands, keycommands.Commands, admin.Commands, scripting.New(e).Commands(),
	} {
		e.Register(commands...)
	}
	return e
}
