package geo

import "math"

const (
	earthRadius = 6372797.560856 // metres
	mercatorMax = 20037726.37    // metres, half the equator
	degree      = math.Pi / 180
)

// shape is the area of a search.
type shape struct {
	center        point
	rectangle     bool
	radius        float64 // in units
	width, height float64 // in units
	unit          float64 // metres
}

// contains reports whether a point is in the shape, and its distance from the center in metres.
func (s *shape) contains(p point) (metres float64, ok bool) {
	if !s.rectangle {
		metres = distance(s.center, p)
		return metres, metres <= s.radius*s.unit
	}
	if latitudeDistance(p.lat, s.center.lat) > s.height*s.unit/2 {
		return 0, false
	}
	if distance(p, point{s.center.lon, p.lat}) > s.width*s.unit/2 {
		return 0, false
	}
	return distance(s.center, p), true
}

func latitudeDistance(a, b float64) float64 {
	return earthRadius * math.Abs(float64(b*degree)-float64(a*degree))
}

// distance is that of two points on the sphere in metres, by the haversine formula.
func distance(a, b point) float64 {
	v := sin((float64(b.lon*degree) - float64(a.lon*degree)) / 2)
	if v == 0 {
		return latitudeDistance(a.lat, b.lat)
	}
	from, to := a.lat*degree, b.lat*degree
	u := sin((to - from) / 2)
	h := float64(u*u) + float64(cos(from)*cos(to)*v*v)
	return 2 * earthRadius * asin(math.Sqrt(h))
}

// bounds returns the box around the shape.
func (s *shape) bounds() box {
	height, width := s.unit*s.radius, s.unit*s.radius
	if s.rectangle {
		height, width = s.unit*(s.height/2), s.unit*(s.width/2)
	}
	lat := height / earthRadius / degree
	lon := func(at float64) float64 { return width / earthRadius / cos(at*degree) / degree }
	widest := s.center.lat + lat
	if s.center.lat < 0 {
		widest = s.center.lat - lat
	}
	return box{
		point{s.center.lon - lon(widest), s.center.lat - lat},
		point{s.center.lon + lon(widest), s.center.lat + lat},
	}
}

// steps estimates how many halvings give cells of which nine cover the shape.
func (s *shape) steps() uint {
	metres := s.radius
	if s.rectangle {
		metres = math.Sqrt(float64((s.width/2)*(s.width/2)) + float64((s.height/2)*(s.height/2)))
	}
	metres *= s.unit
	if metres == 0 {
		return fullStep
	}
	step := 1
	for ; metres < mercatorMax; metres *= 2 {
		step++
	}
	step -= 2
	// Towards the poles, cells are narrower.
	if math.Abs(s.center.lat) > 66 {
		step--
		if math.Abs(s.center.lat) > 80 {
			step--
		}
	}
	return uint(min(max(step, 1), fullStep))
}

// cells returns the cells to look for the shape's points in: its center's, and those around it that the
// shape may reach, in Redis's order. Those that it cannot reach have no steps.
func (s *shape) cells() [9]cell {
	bounds := s.bounds()
	step := s.steps()
	here := encode(s.center, maxLatitude, step)
	if step > 1 && !covers(here, bounds) {
		step--
		here = encode(s.center, maxLatitude, step)
	}
	var cells [9]cell
	area := here.area()
	for i, d := range directions {
		reached := true
		if step >= 2 {
			reached = !(d.north < 0 && area.min.lat < bounds.min.lat || d.north > 0 && area.max.lat > bounds.max.lat ||
				d.east < 0 && area.min.lon < bounds.min.lon || d.east > 0 && area.max.lon > bounds.max.lon)
		}
		if reached {
			cells[i] = here.move(d.east, d.north)
		}
	}
	return cells
}

var directions = [9]struct{ east, north int32 }{
	{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1},
}

// covers reports whether the cells around one reach as far as the bounds. It takes bounds that are not
// numbers for reached.
func covers(c cell, bounds box) bool {
	return !(c.move(0, 1).area().max.lat < bounds.max.lat || c.move(0, -1).area().min.lat > bounds.min.lat ||
		c.move(1, 0).area().max.lon < bounds.max.lon || c.move(-1, 0).area().min.lon > bounds.min.lon)
}
