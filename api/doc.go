// Package api holds the shapes of the HTTP contract, generated from openapi.yaml: what requests and
// responses look like as JSON.
package api

//go:generate go tool -modfile=../tools/go.mod oapi-codegen -config codegen.yaml ../openapi.yaml
