// Package handlers is the HTTP face of zmsg: routes, decoding, problem documents and middleware. What a
// request may do is the business of package service.
//
// Every handler returns an error instead of writing one: problem.go alone knows how errors look on the
// wire. Reads of one item are the hot path, so they decode nothing and write the bytes they are given.
package handlers
