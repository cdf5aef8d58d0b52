package geo

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// Commands are the commands for places.
var Commands = []*engine.Command{
	one("geoadd", -5, engine.Write|engine.DenyOOM, geoadd),
	one("geodist", -4, engine.ReadOnly, geodist),
	one("geohash", -2, engine.ReadOnly, geohash),
	one("geopos", -2, engine.ReadOnly, geopos),
	storing("georadius", -6, 6, georadius),
	storing("georadiusbymember", -5, 5, georadiusbymember),
	one("georadius_ro", -6, engine.ReadOnly, georadiusRO),
	one("georadiusbymember_ro", -5, engine.ReadOnly, georadiusbymemberRO),
	one("geosearch", -7, engine.ReadOnly, geosearch),
	{
		Name: "geosearchstore", Arity: -8, Flags: engine.Write | engine.DenyOOM,
		First: 1, Last: 2, Step: 1, Run: geosearchstore,
	},
}

type run = func(c *engine.Client, args [][]byte)

func one(name string, arity int, flags engine.Flag, f run) *engine.Command {
	return &engine.Command{Name: name, Arity: arity, Flags: flags, First: 1, Last: 1, Step: 1, Run: f}
}

// storing is a command that may name a second key behind STORE or STOREDIST among the options, which begin
// at the given place.
func storing(name string, arity, options int, f run) *engine.Command {
	cmd := one(name, arity, engine.Write|engine.DenyOOM|engine.MovableKeys, f)
	cmd.Keys = func(args [][]byte) []int {
		keys := []int{1}
		for i := options; i+1 < len(args); i++ {
			if engine.EqualFold(args[i], "STORE") || engine.EqualFold(args[i], "STOREDIST") {
				i++
				keys = append(keys[:1], i)
			}
		}
		return keys
	}
	return cmd
}

func reading(c *engine.Client, key []byte) (*zsets.ZSet, bool) { return zsets.Of(c, c.DB().Read(key)) }

// parsePoint reads a longitude and a latitude.
func parsePoint(c *engine.Client, args [][]byte) (p point, ok bool) {
	if p.lon, ok = parseFloat(c, args[0], engine.ErrNotFloat); !ok {
		return p, false
	}
	if p.lat, ok = parseFloat(c, args[1], engine.ErrNotFloat); !ok {
		return p, false
	}
	if !p.valid() {
		c.Error(fmt.Sprintf("ERR invalid longitude,latitude pair %s,%s", fixed(p.lon), fixed(p.lat)))
		return p, false
	}
	return p, true
}

// fixed is C's %f.
func fixed(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return strconv.FormatFloat(f, 'f', 6, 64)
}

func parseFloat(c *engine.Client, text []byte, complaint string) (float64, bool) {
	f, ok := zsets.ParseScore(text)
	if !ok {
		c.Error(complaint)
	}
	return f, ok
}

// parseUnit returns a unit of length in metres.
func parseUnit(c *engine.Client, name []byte) (float64, bool) {
	switch {
	case engine.EqualFold(name, "M"):
		return 1, true
	case engine.EqualFold(name, "KM"):
		return 1000, true
	case engine.EqualFold(name, "FT"):
		return 0.3048, true
	case engine.EqualFold(name, "MI"):
		return 1609.34, true
	}
	c.Error("ERR unsupported unit provided. please use M, KM, FT, MI")
	return 0, false
}

func geoadd(c *engine.Client, args [][]byte) {
	var o zsets.AddOptions
	first := 2
options:
	for ; first < len(args); first++ {
		switch a := args[first]; {
		case engine.EqualFold(a, "NX"):
			o.NX = true
		case engine.EqualFold(a, "XX"):
			o.XX = true
		case engine.EqualFold(a, "CH"):
			o.CH = true
		default:
			break options
		}
	}
	places := args[first:]
	if len(places)%3 != 0 || len(places) == 0 || o.NX && o.XX {
		c.Error(engine.ErrSyntax)
		return
	}
	scores := make([]float64, 0, len(places)/3)
	// The log knows places as what they are kept as.
	log := append([][]byte{[]byte("zadd")}, args[1:first]...)
	for i := 0; i < len(places); i += 3 {
		p, ok := parsePoint(c, places[i:])
		if !ok {
			return
		}
		score := encode(p, maxLatitude, fullStep).score()
		scores = append(scores, float64(score))
		log = append(log, strconv.AppendUint(nil, score, 10), places[i+2])
	}
	before := c.Engine().Dirty()
	zsets.Insert(c, args[1], o, scores, func(i int) []byte { return places[3*i+2] })
	if c.Engine().Dirty() != before {
		c.Propagate(log...)
	}
}

func geodist(c *engine.Client, args [][]byte) {
	unit := 1.0
	switch {
	case len(args) > 5:
		c.Error(engine.ErrSyntax)
		return
	case len(args) == 5:
		var ok bool
		if unit, ok = parseUnit(c, args[4]); !ok {
			return
		}
	}
	z, ok := reading(c, args[1])
	if !ok {
		return
	}
	if z != nil {
		a, found := z.Score(args[2])
		b, both := z.Score(args[3])
		if found && both {
			replyDistance(c, distance(decode(a), decode(b))/unit)
			return
		}
	}
	c.Null()
}

// replyDistance replies a distance with four decimals.
func replyDistance(c *engine.Client, d float64) {
	n := int64(math.RoundToEven(d * 10000))
	c.BulkString(fmt.Sprintf("%d.%04d", n/10000, n%10000))
}

const alphabet = "0123456789bcdefghjkmnpqrstuvwxyz"

func geohash(c *engine.Client, args [][]byte) {
	eachScore(c, args, c.Null, func(score float64) {
		// The hashes that people exchange are of a world that reaches to the poles.
		bits := encode(decode(score), 90, fullStep).bits
		var text [11]byte
		for i := range 10 {
			text[i] = alphabet[bits>>(2*fullStep-5*(i+1))&31]
		}
		text[10] = '0'
		c.Bulk(text[:])
	})
}

func geopos(c *engine.Client, args [][]byte) {
	eachScore(c, args, c.NullArray, func(score float64) { replyPoint(c, decode(score)) })
}

// eachScore replies an array of what one of the functions replies for each member.
func eachScore(c *engine.Client, args [][]byte, missing func(), found func(score float64)) {
	z, ok := reading(c, args[1])
	if !ok {
		return
	}
	c.Array(len(args) - 2)
	for _, member := range args[2:] {
		if z != nil {
			if score, ok := z.Score(member); ok {
				found(score)
				continue
			}
		}
		missing()
	}
}

func replyPoint(c *engine.Client, p point) {
	c.Array(2)
	replyCoordinate(c, p.lon)
	replyCoordinate(c, p.lat)
}

// replyCoordinate replies a number with up to 17 decimals.
func replyCoordinate(c *engine.Client, f float64) {
	text := strconv.AppendFloat(nil, f, 'f', 17, 64)
	text = bytes.TrimSuffix(bytes.TrimRight(text, "0"), []byte("."))
	if string(text) == "-0" {
		text = text[1:]
	}
	if c.Proto() == 3 {
		c.Reply(append(append([]byte{','}, text...), "\r\n"...))
		return
	}
	c.Bulk(text)
}
