//go:build !race

package persist_test

const (
	crashPoints = 5000
	keysBeside  = 100_000
	increments  = 200_000
)
