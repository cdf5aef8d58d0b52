package queue

import (
	"testing"

	"github.com/zmsg/zmsg/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
