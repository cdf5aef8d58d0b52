package engine

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// ParseTimeout reads how long a command may wait: seconds with a fraction, 0 is forever, rounded up to
// milliseconds. It replies the error. Like Redis it reckons with 64 bits of mantissa.
func (c *Client) ParseTimeout(arg []byte) (time.Duration, bool) {
	s := string(arg)
	if lower := strings.ToLower(s); strings.Contains(lower, "0x") && !strings.Contains(lower, "p") {
		s += "p0" // C needs no exponent there
	}
	short, err := strconv.ParseFloat(s, 64)
	if math.IsNaN(short) || strings.Contains(s, "_") || err != nil && !math.IsInf(short, 0) {
		c.Error("ERR timeout is not a float or out of range")
		return 0, false
	}
	if math.IsInf(short, 0) {
		if longest, _, err := big.ParseFloat(s, 0, 64, big.ToNearestEven); err == nil && longest.MantExp(nil) > 16384 {
			c.Error("ERR timeout is not a float or out of range") // not even Redis's floats reach so far
			return 0, false
		}
		c.Error("ERR timeout is negative")
		return 0, false
	}
	long, _, err := big.ParseFloat(s, 0, 64, big.ToNearestEven)
	if err != nil {
		c.Error("ERR timeout is not a float or out of range")
		return 0, false
	}
	long.Mul(long, big.NewFloat(1000).SetPrec(64))
	// What has no place in 64 bits is negative there.
	if long.Cmp(big.NewFloat(math.MaxInt64)) >= 0 || long.Cmp(big.NewFloat(-1)) <= 0 {
		c.Error("ERR timeout is negative")
		return 0, false
	}
	ms, accuracy := long.Int64()
	if accuracy == big.Below {
		ms++
	}
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond, true
}
