package postgres_test

import (
	"strings"
	"testing"

	"github.com/zmsg/zmsg/model"
)

// Each author of a list costs one descent of the index, however many items there are.
func TestListUsesTheIndex(t *testing.T) {
	t.Parallel()
	db := open(t)
	batch := &model.Batch{}
	for id := model.ID(1); id <= 20_000; id++ {
		batch.Items = append(batch.Items, liveItem(id))
	}
	if _, err := db.Drain().Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	lines, err := db.Feeds().ExplainList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(lines, "\n")
	if !strings.Contains(plan, "Index Only Scan using feeds_author") || strings.Contains(plan, "Seq Scan") {
		t.Errorf("the plan of a list is\n%s", plan)
	}
}
