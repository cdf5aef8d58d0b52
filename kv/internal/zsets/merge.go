package zsets

import "bytes"

// pair is one member of a result.
type pair struct {
	member []byte
	score  float64
}

// result returns the members of the combination, in any order.
func (k *combination) result() []pair {
	switch k.op {
	case union:
		return k.union()
	case intersection:
		var pairs []pair
		k.common(func(member []byte, score float64) bool {
			pairs = append(pairs, pair{bytes.Clone(member), score})
			return true
		})
		return pairs
	}
	return k.difference()
}

// count is how many members all sources have in common, up to the limit.
func (k *combination) count() int {
	n := 0
	k.common(func([]byte, float64) bool {
		n++
		return int64(n) != k.limit
	})
	return n
}

// common hands the members that all sources have to yield, until that returns false. The sources are sorted
// by their length.
func (k *combination) common(yield func(member []byte, score float64) bool) {
	first, others := &k.sources[0], k.sources[1:]
	for member, score := range first.all() {
		score = first.weighed(score)
		everywhere := true
		for i := range others {
			s, ok := others[i].score(member)
			if !ok {
				everywhere = false
				break
			}
			score = k.aggregate(score, s*others[i].weight)
		}
		if everywhere && !yield(member, score) {
			return
		}
	}
}

func (k *combination) union() []pair {
	// The last source is the longest.
	largest := k.sources[len(k.sources)-1].len()
	pairs, at := make([]pair, 0, largest), make(map[string]int, largest)
	for i := range k.sources {
		src := &k.sources[i]
		for member, score := range src.all() {
			score = src.weighed(score)
			if j, ok := at[string(member)]; ok {
				pairs[j].score = k.aggregate(pairs[j].score, score)
				continue
			}
			member = bytes.Clone(member)
			at[string(member)] = len(pairs)
			pairs = append(pairs, pair{member, score})
		}
	}
	return pairs
}

func (k *combination) difference() []pair {
	var pairs []pair
	for member, score := range k.sources[0].all() {
		found := false
		for i := 1; i < len(k.sources) && !found; i++ {
			_, found = k.sources[i].score(member)
		}
		if !found {
			pairs = append(pairs, pair{bytes.Clone(member), score})
		}
	}
	return pairs
}
