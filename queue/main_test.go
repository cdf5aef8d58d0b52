package queue

import (
	"testing"

	"github.com/redis/go-redis/v9/logging"

	"github.com/zmsg/zmsg/internal/testenv"
)

func TestMain(m *testing.M) {
	logging.Disable() // servers that die are what some tests are about
	testenv.Main(m)
}
