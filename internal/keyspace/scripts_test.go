package keyspace

import "testing"

// A program of another version must find all of its scripts missing in a home that it has not opened:
// if it found those that it enters a shard with, but not the one that writes, it would believe that it
// holds the shard, and never write.
func TestAllScriptsChangeTogether(t *testing.T) {
	t.Parallel()
	var bodies [names]string
	for n, f := range files {
		bodies[n] = "return '" + f + "'"
	}
	before := scriptTexts("process", bodies)
	bodies[Write] += " -- of the next version"
	for n, text := range scriptTexts("process", bodies) {
		if text == before[n] {
			t.Errorf("the script %s is the same: %s", files[n], text)
		}
	}
}
