// Package geo has the commands for places on earth. Places are members of sorted sets, whose scores are
// geohashes of 52 bits: the halvings of longitude and latitude, bit by bit in turns.
package geo

import "math"

// The world, as the web's maps have it: its poles are out of reach.
const (
	maxLongitude = 180.0
	maxLatitude  = 85.05112878
	fullStep     = 26 // halvings of each coordinate in a score
)

// point is a place in degrees.
type point struct{ lon, lat float64 }

func (p point) valid() bool {
	return math.Abs(p.lon) <= maxLongitude && math.Abs(p.lat) <= maxLatitude
}

// cell is a geohash: the area that is left after some halvings.
type cell struct {
	bits uint64 // from the highest: longitude, latitude, longitude …
	step uint   // halvings of each coordinate; 0 is no cell
}

// box is the area of a cell in degrees.
type box struct{ min, max point }

// encode returns the cell that has a point, in a world that reaches to the given latitude.
func encode(p point, latitude float64, step uint) cell {
	scale := float64(uint64(1) << step)
	lat := (p.lat + latitude) / (latitude + latitude) * scale
	lon := (p.lon + maxLongitude) / (maxLongitude + maxLongitude) * scale
	return cell{spread(uint32(uint64(lat))) | spread(uint32(uint64(lon)))<<1, step}
}

// score is the lowest score in the cell.
func (c cell) score() uint64 { return c.bits << (2*fullStep - 2*c.step) }

// next is the lowest score behind the cell.
func (c cell) next() uint64 { return (c.bits + 1) << (2*fullStep - 2*c.step) }

// area returns where the cell is.
func (c cell) area() box {
	scale := float64(uint64(1) << c.step)
	lat, lon := float64(gather(c.bits)), float64(gather(c.bits>>1))
	return box{
		point{edge(lon, scale, maxLongitude), edge(lat, scale, maxLatitude)},
		point{edge(lon+1, scale, maxLongitude), edge(lat+1, scale, maxLatitude)},
	}
}

// edge is a coordinate: so many of scale parts from the lower end of the world. The order of operations is
// Redis's, so that the digits are.
func edge(i, scale, end float64) float64 { return -end + float64(i/scale*(end+end)) }

// decode returns the middle of the cell that a score is.
func decode(score float64) point {
	area := cell{scoreBits(score), fullStep}.area()
	return point{
		clamp((area.min.lon+area.max.lon)/2, maxLongitude),
		clamp((area.min.lat+area.max.lat)/2, maxLatitude),
	}
}

func clamp(x, end float64) float64 { return max(-end, min(end, x)) }

// scoreBits converts a score as C does on x86: those of places are exact, and any others have some result.
func scoreBits(score float64) uint64 {
	switch {
	case score < -1<<63:
		return 1 << 63
	case score < 1<<63:
		return uint64(int64(score))
	case score < 1<<64:
		return uint64(score)
	}
	return 0
}

// move returns the cell that is so many to the east (or, negative, the west) and north. The world has no
// end: behind the last one is the first.
func (c cell) move(east, north int32) cell {
	mask := uint32(1)<<c.step - 1
	lon, lat := gather(c.bits>>1), gather(c.bits)
	if east != 0 {
		lon = (lon + uint32(east)) & mask
	}
	if north != 0 {
		lat = (lat + uint32(north)) & mask
	}
	return cell{spread(lat) | spread(lon)<<1, c.step}
}

// masks are of 1, 2, 4, 8 and 16 bits that alternate with as many zeros.
var masks = [...]uint64{0x5555555555555555, 0x3333333333333333, 0x0f0f0f0f0f0f0f0f, 0x00ff00ff00ff00ff, 0x0000ffff0000ffff}

// spread puts a zero between any two bits.
func spread(x uint32) uint64 {
	v := uint64(x)
	for i := 4; i >= 0; i-- {
		v = (v | v<<(1<<i)) & masks[i]
	}
	return v
}

// gather takes every other bit, from the lowest on.
func gather(v uint64) uint32 {
	v &= masks[0]
	for i := 1; i < 5; i++ {
		v = (v | v>>(1<<(i-1))) & masks[i]
	}
	return uint32(v | v>>16)
}
