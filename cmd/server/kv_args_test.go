package main

import "testing"

// The command line of redis-server's container works.
func TestParseKV(t *testing.T) {
	t.Parallel()
	a, err := parseKV([]string{"--save", "60", "1", "--loglevel", "warning", "--port", "7000", "--maxmemory=1gb"})
	if err != nil {
		t.Fatal(err)
	}
	if a.addr != "127.0.0.1:7000" || a.settings["save"] != "60 1" || a.settings["loglevel"] != "warning" || a.settings["maxmemory"] != "1gb" {
		t.Errorf("parsed %+v", a)
	}
	for _, args := range [][]string{{"serve"}, {"--save"}, {"--addr", "x"}, {"--"}} {
		if a, err := parseKV(args); err == nil {
			t.Errorf("%q is parsed: %+v", args, a)
		}
	}
}
