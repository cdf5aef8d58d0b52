//go:build race

package persist_test

// All is smaller with the race detector, which is not what finds what these tests look for.
const (
	crashPoints = 300
	keysBeside  = 10_000
	increments  = 20_000
)
