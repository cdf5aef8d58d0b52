package keyspace

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/model"
)

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

func TestScriptsShareWhatTheyInclude(t *testing.T) {
	t.Parallel()
	text, err := withLibrary("#!lua\n-- include negated\nreturn negated(ARGV[1])\n")
	if err != nil || strings.Contains(text, "include") || strings.Count(text, "local function negated") != 1 || !strings.HasPrefix(text, "#!lua\n") {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := withLibrary("-- include nothing\n"); err == nil {
		t.Errorf("what is not there is included as %q", text)
	}
}

// Scripts cannot import constants.
func TestCountKnowsTheLimitsOfTheModel(t *testing.T) {
	t.Parallel()
	body, err := luaFiles.ReadFile("lua/count.lua")
	if want := fmt.Sprintf("local most, metrics = %d, %d ", int64(model.MaxCount), model.MaxMetrics); err != nil || !strings.Contains(string(body), want) {
		t.Errorf("the script does not have %q, %v", want, err)
	}
}
