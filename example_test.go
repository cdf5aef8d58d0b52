package zmsg_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/zmsg/zmsg"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// A program with the engine in it: ZMSG_POSTGRES_DSN and ZMSG_REDIS_ADDR say where its servers are.
func ExampleOpen() {
	if err := keepADiary(context.Background(), os.Environ(), os.Stdout); err != nil {
		fmt.Println(err)
	}
}

func keepADiary(ctx context.Context, environ []string, out io.Writer) (err error) {
	cfg, err := zmsg.ConfigFromEnv(environ)
	if err != nil {
		return err
	}
	engine, err := zmsg.Open(ctx, cfg, zmsg.Options{})
	if err != nil {
		return err
	}
	defer func() {
		// Time for what is still queued to reach the database.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if e := engine.Close(ctx); err == nil {
			err = e
		}
	}()

	const author = 42
	written, err := engine.Feeds.Create(ctx, service.Draft{AuthorID: author, Content: json.RawMessage(`{"text":"Hello"}`)},
		service.WriteOptions{Store: model.StoreDelayed})
	if err != nil {
		return err
	}
	doc, err := engine.Feeds.Get(ctx, written.Item.ID, false)
	if err != nil {
		return err
	}
	page, err := engine.Feeds.List(ctx, service.ListQuery{Authors: []model.ID{author}})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "queued in %s, found: %t, listed: %d\n", written.Durability, doc.Found(), len(page.Items))
	return err
}
