// Package client is a typed HTTP client of zmsg, generated from openapi.yaml. The shapes of bodies and
// parameters are in package api.
//
// NewClientWithResponses makes a client whose methods decode each documented answer into a field of
// its own: JSON200, JSON201, ApplicationProblemJSON404 and so on.
package client

//go:generate go tool -modfile=../tools/go.mod oapi-codegen -config codegen.yaml ../openapi.yaml
