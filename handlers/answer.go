package handlers

import (
	"net/http"
	"strconv"
)

// Header values that never change. The server only reads them.
var (
	jsonContentType = []string{mediaJSON}
	noStore         = []string{"no-store"}
	noCache         = []string{"no-cache"}
	forEver         = []string{"public, max-age=31536000, immutable"}
	replayedTrue    = []string{"true"}
	respondAsync    = []string{"respond-async"}
)

// countedByServer is up to which size the server counts the length of a body by itself.
const countedByServer = 2048

// writeJSON answers with a body that is JSON already.
func writeJSON(w *response, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = jsonContentType
	if len(body) >= countedByServer {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
	}
	_, _ = w.Write(body) // a client that is gone needs no answer
}
