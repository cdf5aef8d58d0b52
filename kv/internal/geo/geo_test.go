package geo

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

func drawPoint(t *rapid.T) point {
	return point{rapid.Float64Range(-180, 179.99).Draw(t, "lon"), rapid.Float64Range(-maxLatitude, 85).Draw(t, "lat")}
}

func TestHashesKeepPlaces(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPoint(t)
		q := decode(float64(encode(p, maxLatitude, fullStep).score()))
		if math.Abs(p.lon-q.lon) > 360.0/(1<<fullStep) || math.Abs(p.lat-q.lat) > 2*maxLatitude/(1<<fullStep) {
			t.Fatalf("%v has become %v", p, q)
		}
		step := uint(rapid.IntRange(1, fullStep).Draw(t, "step"))
		c := encode(p, maxLatitude, step)
		if c.move(3, -2).move(-3, 2) != c {
			t.Fatalf("there and back is not %v", c)
		}
	})
}

// A search must find what trying every place finds. Beyond the poles and the date line Redis does not look,
// so searches stay away from them.
func TestSearchFindsAll(t *testing.T) {
	t.Parallel()
	z := zsets.New(1)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 5000 {
		p := point{r.Float64()*360 - 180, r.Float64()*140 - 70}
		z.Add(fmt.Append(nil, i), float64(encode(p, maxLatitude, fullStep).score()), zsets.Limits{})
	}
	rapid.Check(t, func(t *rapid.T) {
		s := search{z: z, area: shape{unit: 1000}}
		s.area.center = point{rapid.Float64Range(-120, 120).Draw(t, "lon"), rapid.Float64Range(-50, 50).Draw(t, "lat")}
		s.area.rectangle = rapid.Bool().Draw(t, "rectangle")
		s.area.radius = rapid.Float64Range(0, 1500).Draw(t, "radius")
		s.area.width, s.area.height = s.area.radius*2, rapid.Float64Range(0, 3000).Draw(t, "height")
		var got, want []string
		for _, f := range s.run() {
			got = append(got, string(f.member))
		}
		for member, score := range z.All() {
			if _, ok := s.area.contains(decode(score)); ok {
				want = append(want, string(member))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%+v: got %v, want %v", s.area, got, want)
		}
	})
}

// exact returns the sine (k is 1) or cosine (0) of x, correctly rounded.
func exact(x float64, k int64) float64 {
	number := func(x float64) *big.Float { return new(big.Float).SetPrec(250).SetFloat64(x) }
	square := new(big.Float).SetPrec(250).Mul(number(x), number(x))
	term, total := number(1), number(0)
	if k == 1 {
		term = number(x)
	}
	for ; k < 80; k += 2 {
		total.Add(total, term)
		term.Mul(term, square)
		term.Quo(term, number(-float64((k+1)*(k+2))))
	}
	f, _ := total.Float64()
	return f
}

func TestTrigonometry(t *testing.T) {
	t.Parallel()
	const n = 5000
	r := rand.New(rand.NewPCG(3, 4))
	off := 0
	check := func(what string, x, got, want float64) {
		if got != want {
			off++
			if math.Abs(got-want) > math.Abs(math.Nextafter(want, 9)-want)*1.01 {
				t.Errorf("%s(%v) = %v, want %v", what, x, got, want)
			}
		}
	}
	for range n {
		x := (r.Float64()*2 - 1) * math.Pi
		check("sin", x, sin(x), exact(x, 1))
		check("cos", x, cos(x), exact(x, 0))
		y := r.Float64()
		if s := exact(asin(y), 1); math.Abs(s-y) > 2.3e-16 {
			t.Errorf("sin(asin(%v)) = %v", y, s)
		}
	}
	if off > n/50 {
		t.Errorf("%d of %d are not correctly rounded", off, 2*n)
	}
	if asin(1) != halfPi || asin(0) != 0 || sin(0) != 0 || cos(0) != 1 || !math.IsNaN(asin(1.1)) {
		t.Error("the ends are wrong")
	}
}

// What Redis 7.0 replies about the ends of the world.
func TestEnds(t *testing.T) {
	t.Parallel()
	e := engine.New(engine.Defaults())
	e.Register(Commands...)
	c := e.NewClient(engine.Front{})
	for _, x := range []struct{ command, want string }{
		{"GEOADD w 180 85.05112878 ne -180 -85.05112878 sw 180 0 e -180 0 w", ":4"},
		{"GEOPOS w ne sw", "*2|*2|$3|180|$19|85.0511287799999991|*2|$22|-179.99999731779098511|$21|-85.05112751263942528"},
		{"GEODIST w e w", "$6|0.2983"},
		{"GEOHASH w ne sw", "*2|$11|bp05b5048p0|$11|00bh0hbj200"},
		{"GEOSEARCH w FROMLONLAT 179.9 0 BYRADIUS 100 km", "*1|$1|w"},
		{"GEOSEARCH w FROMLONLAT 0 0 BYRADIUS inf km ASC COUNT 2 WITHDIST", "*2|*2|$2|sw|$10|10560.8118|*2|$1|w|$10|20020.7337"},
		{"GEOADD w 180 85.1 x", "-ERR invalid longitude,latitude pair 180.000000,85.100000"},
	} {
		var args [][]byte
		for _, w := range strings.Fields(x.command) {
			args = append(args, []byte(w))
		}
		got := string(bytes.TrimSuffix(e.Do(c, args, nil), []byte("\r\n")))
		if got = strings.ReplaceAll(got, "\r\n", "|"); got != x.want {
			t.Errorf("%s\n got %q\nwant %q", x.command, got, x.want)
		}
	}
}
