package testenv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/zmsg/zmsg/internal/testenv"
)

func TestMain(m *testing.M) {
	if os.Getenv(orphanEnv) != "" {
		orphan()
		return
	}
	testenv.Main(m)
}

// orphanEnv makes this binary a process that starts servers and waits to be killed.
const orphanEnv = "ZMSG_TESTENV_ORPHAN"

// orphan prints the addresses and the directories of the servers that it starts.
func orphan() {
	ctx := context.Background()
	pg, err := testenv.StartPostgres(ctx, testenv.PostgresOptions{})
	r, err2 := testenv.StartRedis(ctx, testenv.RedisOptions{})
	if err := errors.Join(err, err2); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(pg.Addr(), r.Addr(), filepath.Dir(pg.LogFile()), filepath.Dir(r.LogFile()))
	<-pg.Exited() // never, while the test keeps its promise
}
