module github.com/zmsg/zmsg

go 1.26.8
