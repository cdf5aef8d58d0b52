package resp

import (
	"fmt"
	"reflect"
	"testing"
)

// equal ends the test if got is not want; what says of what.
func equal(tb testing.TB, want, got any, what ...any) {
	tb.Helper()
	if !reflect.DeepEqual(want, got) {
		text := ""
		if len(what) > 0 {
			text = fmt.Sprintf(what[0].(string), what[1:]...) + ": "
		}
		tb.Fatalf("%sgot %#v, want %#v", text, got, want)
	}
}

// fails ends the test if err does not say want; "" is no error.
func fails(tb testing.TB, err error, want string) {
	tb.Helper()
	if got := fmt.Sprint(err); err == nil && want != "" || err != nil && got != want {
		tb.Fatalf("got error %v, want %q", err, want)
	}
}
