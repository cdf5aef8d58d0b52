//go:build race

package persist_test

// crashPoints is smaller with the race detector, which is not what finds what TestCrash looks for.
const crashPoints = 300
