package table

import (
	"sort"
	"unsafe"
)

const (
	boxSize  = int(unsafe.Sizeof(Box{}))
	pageSize = 8192
	maxClass = 32 << 10 // the allocator rounds what is larger up to whole pages
)

// classes are the allocator's sizes of small objects without pointers; classOf has the index of the class
// of n bytes at (n+7)/8, for the sizes that nearly all entries have.
var classes, classOf = measureClasses()

// measureClasses asks the allocator, by growing slices, which sizes it has.
func measureClasses() (sizes []int, of [129]uint8) {
	for n := 1; n <= maxClass; {
		c := cap(append([]byte(nil), make([]byte, n)...))
		sizes = append(sizes, c)
		n = c + 1
	}
	for i := range of {
		of[i] = uint8(sort.SearchInts(sizes, i*8))
	}
	return sizes, of
}

// classSize is how much memory n bytes without pointers take.
func classSize(n int) int {
	switch {
	case n == 0:
		return 0
	case n <= 1024:
		return classes[classOf[(n+7)/8]]
	case n <= maxClass:
		return classes[sort.SearchInts(classes, n)]
	}
	return (n + pageSize - 1) &^ (pageSize - 1)
}
