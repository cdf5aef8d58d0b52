package geo

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// search is one of the commands that look for places in an area.
type search struct {
	modern    bool // GEOSEARCH and GEOSEARCHSTORE: the area is given by options
	readOnly  bool // STORE is no option
	z         *zsets.ZSet
	area      shape
	store     []byte // nil replies the places
	distances bool   // stores distances, not places

	withDist, withHash, withCoord bool
	fromMember, fromPoint         bool
	byRadius, byBox               bool
	order                         int // 1 is nearest first, -1 is farthest first, 0 is any
	count                         int64
	any                           bool // the first ones found will do
}

// found is one place.
type found struct {
	member []byte
	score  float64
	at     point
	metres float64
}

func georadius(c *engine.Client, args [][]byte) { aroundPoint(c, args, search{}) }

func georadiusRO(c *engine.Client, args [][]byte) { aroundPoint(c, args, search{readOnly: true}) }

func georadiusbymember(c *engine.Client, args [][]byte) { aroundMember(c, args, search{}) }

func georadiusbymemberRO(c *engine.Client, args [][]byte) {
	aroundMember(c, args, search{readOnly: true})
}

func aroundPoint(c *engine.Client, args [][]byte, s search) {
	var ok bool
	if s.z, ok = reading(c, args[1]); !ok {
		return
	}
	if s.area.center, ok = parsePoint(c, args[2:]); ok && s.radius(c, args[4:]) {
		s.finish(c, args, 6)
	}
}

func aroundMember(c *engine.Client, args [][]byte, s search) {
	var ok bool
	if s.z, ok = reading(c, args[1]); !ok {
		return
	}
	if s.z != nil && (!s.member(c, args[2]) || !s.radius(c, args[3:])) {
		return
	}
	s.finish(c, args, 5)
}

func geosearch(c *engine.Client, args [][]byte) {
	s := search{modern: true}
	var ok bool
	if s.z, ok = reading(c, args[1]); ok {
		s.finish(c, args, 2)
	}
}

func geosearchstore(c *engine.Client, args [][]byte) {
	s := search{modern: true, store: args[1]}
	var ok bool
	if s.z, ok = reading(c, args[2]); ok {
		s.finish(c, args, 3)
	}
}

// finish reads the options from the given place on, and answers.
func (s *search) finish(c *engine.Client, args [][]byte, options int) {
	for rest := args[options:]; len(rest) > 0; {
		n, ok := s.option(c, rest)
		if !ok {
			return
		}
		rest = rest[n:]
	}
	if complaint := s.complaint(string(args[0])); complaint != "" {
		c.Error(complaint)
		return
	}
	switch {
	case s.store != nil:
		s.keep(c)
	case s.z == nil:
		c.Array(0)
	default:
		s.reply(c)
	}
}

// complaint says what is wrong with the options together, or "".
func (s *search) complaint(name string) string {
	switch {
	case s.store != nil && (s.withDist || s.withHash || s.withCoord):
		who := "STORE option in GEORADIUS"
		if s.modern {
			who = "GEOSEARCHSTORE"
		}
		return "ERR " + who + " is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
	case s.modern && !s.fromMember && !s.fromPoint:
		return "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for " + name
	case s.modern && !s.byRadius && !s.byBox:
		return "ERR exactly one of BYRADIUS and BYBOX can be specified for " + name
	case s.any && s.count == 0:
		return "ERR the ANY argument requires COUNT argument"
	}
	return ""
}

// option reads one option at the start of args and returns how many arguments it takes.
func (s *search) option(c *engine.Client, args [][]byte) (n int, ok bool) {
	switch a := args[0]; {
	case engine.EqualFold(a, "WITHDIST"):
		s.withDist = true
	case engine.EqualFold(a, "WITHHASH"):
		s.withHash = true
	case engine.EqualFold(a, "WITHCOORD"):
		s.withCoord = true
	case engine.EqualFold(a, "ANY"):
		s.any = true
	case engine.EqualFold(a, "ASC"):
		s.order = 1
	case engine.EqualFold(a, "DESC"):
		s.order = -1
	case len(args) > 1 && engine.EqualFold(a, "COUNT"):
		if s.count, ok = c.ParseInt(args[1]); ok && s.count <= 0 {
			c.Error("ERR COUNT must be > 0")
			return 0, false
		}
		return 2, ok
	case s.modern && s.store != nil && engine.EqualFold(a, "STOREDIST"):
		s.distances = true
	case s.modern:
		return s.where(c, args)
	case len(args) > 1 && !s.readOnly && (engine.EqualFold(a, "STORE") || engine.EqualFold(a, "STOREDIST")):
		s.store, s.distances = args[1], len(a) > len("STORE")
		return 2, true
	default:
		c.Error(engine.ErrSyntax)
		return 0, false
	}
	return 1, true
}

// where reads the options that give the area.
func (s *search) where(c *engine.Client, args [][]byte) (n int, ok bool) {
	switch a := args[0]; {
	case len(args) > 1 && !s.fromPoint && engine.EqualFold(a, "FROMMEMBER"):
		s.fromMember = true
		return 2, s.z == nil || s.member(c, args[1])
	case len(args) > 2 && !s.fromMember && engine.EqualFold(a, "FROMLONLAT"):
		s.fromPoint = true
		s.area.center, ok = parsePoint(c, args[1:])
		return 3, ok
	case len(args) > 2 && !s.byBox && engine.EqualFold(a, "BYRADIUS"):
		s.byRadius = true
		return 3, s.radius(c, args[1:])
	case len(args) > 3 && !s.byRadius && engine.EqualFold(a, "BYBOX"):
		s.byBox = true
		return 4, s.box(c, args[1:])
	}
	c.Error(engine.ErrSyntax)
	return 0, false
}

// member makes a member's place the center.
func (s *search) member(c *engine.Client, name []byte) bool {
	score, ok := s.z.Score(name)
	if !ok {
		c.Error("ERR could not decode requested zset member")
		return false
	}
	s.area.center = decode(score)
	return true
}

// radius reads a radius and its unit.
func (s *search) radius(c *engine.Client, args [][]byte) (ok bool) {
	if s.area.radius, ok = parseFloat(c, args[0], "ERR need numeric radius"); !ok {
		return false
	}
	if s.area.radius < 0 {
		c.Error("ERR radius cannot be negative")
		return false
	}
	s.area.unit, ok = parseUnit(c, args[1])
	return ok
}

// box reads a width, a height and their unit.
func (s *search) box(c *engine.Client, args [][]byte) (ok bool) {
	s.area.rectangle = true
	if s.area.width, ok = parseFloat(c, args[0], "ERR need numeric width"); !ok {
		return false
	}
	if s.area.height, ok = parseFloat(c, args[1], "ERR need numeric height"); !ok {
		return false
	}
	if s.area.width < 0 || s.area.height < 0 {
		c.Error("ERR height or width cannot be negative")
		return false
	}
	s.area.unit, ok = parseUnit(c, args[2])
	return ok
}

// run returns the places that are asked for, in order.
func (s *search) run() []found {
	places := s.collect()
	order := s.order
	if order == 0 && s.count > 0 && !s.any {
		order = 1
	}
	if order != 0 {
		slices.SortStableFunc(places, func(a, b found) int { return order * cmp.Compare(a.metres, b.metres) })
	}
	if s.count > 0 && s.count < int64(len(places)) {
		places = places[:s.count]
	}
	return places
}

// collect returns the places in the area.
func (s *search) collect() (places []found) {
	cells := s.area.cells()
	last := 0
	for i, c := range cells {
		// Around a large area the cells are few, and the same ones come again.
		if c.step == 0 || last != 0 && c == cells[last] {
			continue
		}
		last = i
		lo, hi := s.z.ScoreSpan(zsets.ScoreRange{Min: float64(c.score()), Max: float64(c.next()), MaxEx: true})
		for member, score := range s.z.Ascend(lo, hi) {
			at := decode(score)
			metres, ok := s.area.contains(at)
			if !ok {
				continue
			}
			places = append(places, found{bytes.Clone(member), score, at, metres})
			if s.any && int64(len(places)) >= s.count {
				return places
			}
		}
	}
	return places
}

func (s *search) reply(c *engine.Client) {
	places := s.run()
	fields := 1
	for _, with := range []bool{s.withDist, s.withHash, s.withCoord} {
		if with {
			fields++
		}
	}
	c.Array(len(places))
	for _, p := range places {
		if fields > 1 {
			c.Array(fields)
		}
		c.Bulk(p.member)
		if s.withDist {
			replyDistance(c, p.metres/s.area.unit)
		}
		if s.withHash {
			c.Int(int64(p.score))
		}
		if s.withCoord {
			replyPoint(c, p.at)
		}
	}
}

// keep stores the places under a key.
func (s *search) keep(c *engine.Client) {
	z := zsets.New(c.DB().Stamp())
	if s.z != nil {
		lim := zsets.LimitsOf(c.Engine().Config())
		for _, p := range s.run() {
			score := p.score
			if s.distances {
				score = p.metres / s.area.unit
			}
			z.Add(p.member, score, lim)
		}
	}
	event := "georadiusstore"
	if s.modern {
		event = "geosearchstore"
	}
	zsets.Store(c, s.store, z, event)
}
