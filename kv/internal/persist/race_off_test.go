//go:build !race

package persist_test

const crashPoints = 5000
