package kv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/kv"
)

// open opens a database that keeps nothing.
func open() *kv.DB {
	db, err := kv.Open(kv.Options{})
	if err != nil {
		panic(err)
	}
	return db
}

func Example() {
	db, err := kv.Open(kv.Options{}) // Dir: "data" keeps it
	if err != nil {
		panic(err)
	}
	defer func() { _ = db.Close() }()

	_ = db.SetString("greeting", "hello", kv.For(time.Hour))
	greeting, _ := db.GetString("greeting")
	fmt.Println(greeting)

	_, err = db.Get("nothing")
	fmt.Println(errors.Is(err, kv.ErrNotFound))
	// Output:
	// hello
	// true
}

// go-redis, in the same process: each command is executed when it is written, with no network.
func ExampleDB_Dialer() {
	db := open()
	defer func() { _ = db.Close() }()
	client := redis.NewClient(&redis.Options{Dialer: db.Dialer})
	defer func() { _ = client.Close() }()

	ctx := context.Background()
	client.LPush(ctx, "queue", "a", "b")
	fmt.Println(client.LRange(ctx, "queue", 0, -1).Val())
	// Output: [b a]
}

func ExampleDB_GetInt() {
	db := open()
	defer func() { _ = db.Close() }()
	_ = db.SetInt("visits", 41)
	sum, _ := db.Increment("visits", 1)
	visits, _ := db.GetInt("visits")
	fmt.Println(sum, visits)

	_ = db.SetString("name", "ann")
	_, err := db.Increment("name", 1)
	fmt.Println(err)
	// Output:
	// 42 42
	// kv: value is not an integer or out of range
}

func ExampleDB_SetJSON() {
	db := open()
	defer func() { _ = db.Close() }()
	type user struct {
		Name string `json:"name"`
		Age  int    `json:"age"`
	}
	_ = db.SetJSON("user:1", user{"ann", 41})
	var u user
	_ = db.GetJSON("user:1", &u)
	fmt.Println(u.Name, u.Age)
	// Output: ann 41
}

func ExampleDB_SetIfAbsent() {
	db := open()
	defer func() { _ = db.Close() }()
	first, _ := db.SetIfAbsent("lock", []byte("me"), kv.For(time.Minute))
	second, _ := db.SetIfAbsent("lock", []byte("you"), kv.For(time.Minute))
	fmt.Println(first, second)
	// Output: true false
}

func ExampleDB_CompareAndSwap() {
	db := open()
	defer func() { _ = db.Close() }()
	_ = db.SetString("state", "new")
	swapped, _ := db.CompareAndSwap("state", []byte("new"), []byte("done"))
	again, _ := db.CompareAndSwap("state", []byte("new"), []byte("done"))
	fmt.Println(swapped, again)
	// Output: true false
}

func ExampleDB_ExpireAt() {
	db := open()
	defer func() { _ = db.Close() }()
	_ = db.SetString("offer", "half price")
	midnight := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	_, _ = db.ExpireAt("offer", midnight)
	deadline, _ := db.Deadline("offer")
	fmt.Println(deadline.UTC())
	// Output: 2100-01-01 00:00:00 +0000 UTC
}

func ExampleDB_MapSet() {
	db := open()
	defer func() { _ = db.Close() }()
	_, _ = db.MapSet("user:1", kv.Pair{Key: "name", Value: []byte("ann")}, kv.Pair{Key: "likes", Value: []byte("41")})
	likes, _ := db.MapIncrement("user:1", "likes", 1)
	name, _ := db.MapGet("user:1", "name")
	fmt.Printf("%s %d\n", name, likes)
	// Output: ann 42
}

func ExampleDB_SetAdd() {
	db := open()
	defer func() { _ = db.Close() }()
	_, _ = db.SetAdd("ann", "go", "sql", "tea")
	_, _ = db.SetAdd("ben", "go", "tea", "jazz")
	both, _ := db.SetIntersection("ann", "ben")
	slices.Sort(both)
	fmt.Println(both)
	// Output: [go tea]
}

func ExampleDB_ListPushBack() {
	db := open()
	defer func() { _ = db.Close() }()
	_, _ = db.ListPushBack("queue", []byte("first"), []byte("second"))
	job, _ := db.ListPopFront("queue")
	left, _ := db.ListLen("queue")
	fmt.Printf("%s, %d left\n", job, left)
	// Output: first, 1 left
}

func ExampleDB_SortedRangeDescending() {
	db := open()
	defer func() { _ = db.Close() }()
	_, _ = db.SortedAdd("board", kv.Scored{Member: "ann", Score: 30}, kv.Scored{Member: "ben", Score: 50}, kv.Scored{Member: "cat", Score: 40})
	best, _ := db.SortedRangeDescending("board", 0, 1)
	rank, _ := db.SortedRank("board", "cat")
	fmt.Println(best, rank)
	some, _ := db.SortedByScore("board", 35, 45, 0, -1)
	fmt.Println(some)
	// Output:
	// [{ben 50} {cat 40}] 1
	// [{cat 40}]
}

func ExampleDB_SortedByLex() {
	db := open()
	defer func() { _ = db.Close() }()
	_, _ = db.SortedAdd("words", kv.Scored{Member: "apple"}, kv.Scored{Member: "banana"}, kv.Scored{Member: "cherry"})
	words, _ := db.SortedByLex("words", "[b", "+", 0, -1)
	fmt.Println(words)
	// Output: [banana cherry]
}

func ExampleDB_BitAnd() {
	db := open()
	defer func() { _ = db.Close() }()
	for _, day := range []int64{1, 3, 5} {
		_, _ = db.BitSet("ann", day, true)
	}
	for _, day := range []int64{3, 5, 7} {
		_, _ = db.BitSet("ben", day, true)
	}
	_, _ = db.BitAnd("both", "ann", "ben")
	days, _ := db.BitCount("both")
	first, _ := db.BitPosition("both", true, 0)
	fmt.Println(days, first)
	// Output: 2 3
}

func ExampleDB_TrieScan() {
	db := open()
	defer func() { _ = db.Close() }()
	_, _ = db.TriePut("routes",
		kv.Pair{Key: "/feeds", Value: []byte("list")},
		kv.Pair{Key: "/feeds/", Value: []byte("one")},
		kv.Pair{Key: "/ids", Value: []byte("new")})
	for p, err := range db.TrieScan("routes", "/feeds") {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s %s\n", p.Key, p.Value)
	}
	route, _ := db.TrieLongestPrefix("routes", "/feeds/7")
	fmt.Println(route.Key)
	// Output:
	// /feeds list
	// /feeds/ one
	// /feeds/
}

func ExampleDB_StreamRead() {
	db := open()
	defer func() { _ = db.Close() }()
	_ = db.StreamAddID("events", "1-0", kv.Pair{Key: "kind", Value: []byte("post")})
	_ = db.StreamAddID("events", "2-0", kv.Pair{Key: "kind", Value: []byte("like")})
	events, _ := db.StreamRead(context.Background(), "events", "1-0", 10)
	for _, m := range events {
		fmt.Printf("%s %s=%s\n", m.ID, m.Fields[0].Key, m.Fields[0].Value)
	}
	// Output: 2-0 kind=like
}

func ExampleDB_GroupRead() {
	db := open()
	defer func() { _ = db.Close() }()
	ctx := context.Background()
	_ = db.GroupCreate("jobs", "workers", "0")
	_ = db.StreamAddID("jobs", "1-0", kv.Pair{Key: "job", Value: []byte("resize")})
	jobs, _ := db.GroupRead(ctx, "jobs", "workers", "worker-1", 10)
	done, _ := db.GroupAcknowledge("jobs", "workers", jobs[0].ID)
	fmt.Printf("%s %d\n", jobs[0].Fields[0].Value, done)
	// Output: resize 1
}
