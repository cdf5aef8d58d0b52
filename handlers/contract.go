package handlers

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"

	"github.com/zmsg/zmsg/model"
)

// docsFiles are the page and what it loads. The script is that of the npm package redoc, unchanged.
//
//go:embed docs
var docsFiles embed.FS

// docsPolicy lets the page load from this server alone. Redoc writes its styles into the page and searches
// in a worker that it makes itself.
const docsPolicy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"

// contract answers with the contract as JSON.
func (s *server) contract(_ context.Context, w *response, _ *http.Request) error {
	w.Header().Set("Access-Control-Allow-Origin", "*") // a public document, for tools in browsers
	writeJSON(w, http.StatusOK, s.openapi)
	return nil
}

// docs answers with the page that shows the contract.
func (s *server) docs(_ context.Context, w *response, r *http.Request) error {
	return serveDocsFile(w, r, "index.html")
}

// docsFile answers with what the page loads.
func (s *server) docsFile(_ context.Context, w *response, r *http.Request) error {
	return serveDocsFile(w, r, chi.URLParam(r, "file"))
}

func serveDocsFile(w *response, r *http.Request, name string) error {
	data, err := docsFiles.ReadFile(path.Join("docs", name))
	if err != nil || strings.Contains(name, "/") {
		return &model.Error{Kind: model.NotFound, Message: "the documentation has no such file", Cause: err}
	}
	kind := mime.TypeByExtension(path.Ext(name))
	if kind == "" {
		kind = "text/plain; charset=utf-8"
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", docsPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
	return nil
}

// yamlToJSON converts a document and keeps the order of its members.
func yamlToJSON(data []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("the contract: %w", err)
	}
	if len(doc.Content) != 1 {
		return nil, errors.New("the contract is empty")
	}
	var b bytes.Buffer
	enc := jsontext.NewEncoder(&b)
	if err := encodeNode(enc, doc.Content[0]); err != nil {
		return nil, fmt.Errorf("the contract: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

func encodeNode(enc *jsontext.Encoder, n *yaml.Node) error {
	switch n.Kind {
	case yaml.MappingNode:
		return encodeAll(enc, jsontext.BeginObject, n.Content, jsontext.EndObject)
	case yaml.SequenceNode:
		return encodeAll(enc, jsontext.BeginArray, n.Content, jsontext.EndArray)
	case yaml.ScalarNode:
		token, err := scalar(n)
		if err != nil {
			return err
		}
		return enc.WriteToken(token)
	default:
		return fmt.Errorf("line %d: only plain YAML can be JSON", n.Line)
	}
}

func encodeAll(enc *jsontext.Encoder, begin jsontext.Token, nodes []*yaml.Node, end jsontext.Token) error {
	if err := enc.WriteToken(begin); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := encodeNode(enc, n); err != nil {
			return err
		}
	}
	return enc.WriteToken(end)
}

// scalar returns the JSON of a value. Everything that YAML does not take for a number, a truth value or
// null is text.
func scalar(n *yaml.Node) (jsontext.Token, error) {
	switch n.Tag {
	case "!!null":
		return jsontext.Null, nil
	case "!!bool":
		v, err := strconv.ParseBool(n.Value)
		return jsontext.Bool(v), err
	case "!!int":
		v, err := strconv.ParseInt(n.Value, 10, 64)
		return jsontext.Int(v), err
	case "!!float":
		v, err := strconv.ParseFloat(n.Value, 64)
		return jsontext.Float(v), err
	default:
		return jsontext.String(n.Value), nil
	}
}
