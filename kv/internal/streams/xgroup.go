package streams

import (
	"fmt"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

const errNoStream = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the " +
	"MKSTREAM option to create an empty stream automatically."

// groupOptions reads what follows the ID of XGROUP CREATE and SETID; it replies the error.
func groupOptions(c *engine.Client, args [][]byte, create bool) (makes bool, entries int64, ok bool) {
	entries = UnknownRead
	for i := 5; i < len(args); i++ {
		switch {
		case create && engine.EqualFold(args[i], "MKSTREAM"):
			makes = true
		case i+1 < len(args) && engine.EqualFold(args[i], "ENTRIESREAD"):
			i++
			if entries, ok = c.ParseInt(args[i]); !ok {
				return false, 0, false
			}
			if entries < 0 && entries != UnknownRead {
				c.Error("ERR value for ENTRIESREAD must be positive or -1")
				return false, 0, false
			}
		default:
			wrongSubcommand(c, args)
			return false, 0, false
		}
	}
	return makes, entries, true
}

// editGroup returns the stream and the group of XGROUP's arguments, for changing; it replies the error.
func editGroup(c *engine.Client, args [][]byte) (s *Stream, g *Group, ok bool) {
	s, found, ok := engine.Edit[*Stream](c, args[2])
	if !ok {
		return nil, nil, false
	}
	if !found {
		c.Error(errNoStream)
		return nil, nil, false
	}
	if g = s.EditGroup(args[3]); g == nil {
		c.Error(fmt.Sprintf("NOGROUP No such consumer group '%s' for key name '%s'", engine.CText(args[3]), engine.CText(args[2])))
		return nil, nil, false
	}
	return s, g, true
}

func xgroupCreate(c *engine.Client, args [][]byte) {
	makes, entries, ok := groupOptions(c, args, true)
	if !ok {
		return
	}
	key := args[2]
	s, found, ok := engine.Edit[*Stream](c, key)
	switch {
	case !ok:
		return
	case !found && !makes:
		c.Error(errNoStream)
		return
	case !found:
		s = New(c.DB().Stamp())
	}
	if len(args) > 8 {
		wrongSubcommand(c, args)
		return
	}
	id := s.meta.Last
	if string(args[4]) != "$" {
		if id, ok = parseID(c, strict, args[4]); !ok {
			return
		}
	}
	if s.CreateGroup(args[3], id, entries) == nil {
		c.Error("BUSYGROUP Consumer Group name already exists")
		return
	}
	if found {
		dirtied(c, key, "xgroup-create")
	} else {
		c.DB().SetValue(key, s, 0)
		c.Changed(key, engine.EventStream, "xgroup-create")
	}
	c.OK()
}

func xgroupSetID(c *engine.Client, args [][]byte) {
	_, entries, ok := groupOptions(c, args, false)
	if !ok {
		return
	}
	s, g, ok := editGroup(c, args)
	if !ok {
		return
	}
	if len(args) != 5 && len(args) != 7 {
		wrongSubcommand(c, args)
		return
	}
	id := s.meta.Last
	if string(args[4]) != "$" {
		if id, ok = parseID(c, lowEnd, args[4]); !ok {
			return
		}
	}
	g.last, g.read = id, entries
	dirtied(c, args[2], "xgroup-setid")
	c.OK()
}

func xgroupDestroy(c *engine.Client, args [][]byte) {
	s, found, ok := engine.Edit[*Stream](c, args[2])
	if !ok {
		return
	}
	if !found {
		c.Error(errNoStream)
		return
	}
	destroyed := s.destroyGroup(args[3])
	if destroyed {
		dirtied(c, args[2], "xgroup-destroy")
		c.DB().Ready(args[2]) // whoever waits for entries of the group waits in vain
	}
	c.Bool01(destroyed)
}

func xgroupCreateConsumer(c *engine.Client, args [][]byte) {
	s, g, ok := editGroup(c, args)
	if !ok {
		return
	}
	created := s.CreateConsumer(g, args[4], c.Engine().Now()) != nil
	if created {
		dirtied(c, args[2], "xgroup-createconsumer")
	}
	c.Bool01(created)
}

func xgroupDeleteConsumer(c *engine.Client, args [][]byte) {
	s, g, ok := editGroup(c, args)
	if !ok {
		return
	}
	pending, found := s.deleteConsumer(g, args[4])
	if found {
		dirtied(c, args[2], "xgroup-delconsumer")
	}
	c.Count(pending)
}
