package service

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"

	"github.com/zmsg/zmsg/model"
)

// A cursor is base64url, without padding, of
//
//	1 byte   version of this layout, 1
//	8 bytes  ID of the last item of the page, big endian
//	8 bytes  checksum over the above and the authors
//
// The checksum finds junk, and cursors of another list. It keeps nobody out: a cursor shows nothing
// that its list does not.
const (
	cursorVersion = 1
	cursorBody    = 1 + 8
	cursorSize    = cursorBody + 8
)

var cursorEncoding = base64.RawURLEncoding.Strict()

// newCursor returns the cursor for what follows the item last in the list of the authors, which must
// be sorted and distinct.
func newCursor(last model.ID, authors []model.ID) string {
	b := make([]byte, 0, cursorSize)
	b = append(b, cursorVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(last))
	return cursorEncoding.EncodeToString(append(b, cursorSum(b, authors)...))
}

// parseCursor returns the item that a cursor of the authors' list points to, Malformed if it is none.
func parseCursor(s string, authors []model.ID) (model.ID, error) {
	b, err := cursorEncoding.DecodeString(s)
	if err != nil || len(b) != cursorSize || b[0] != cursorVersion {
		return 0, errCursor()
	}
	if subtle.ConstantTimeCompare(b[cursorBody:], cursorSum(b[:cursorBody], authors)) == 0 {
		return 0, errCursor()
	}
	last := model.ID(binary.BigEndian.Uint64(b[1:cursorBody]))
	if last <= 0 {
		return 0, errCursor()
	}
	return last, nil
}

func cursorSum(body []byte, authors []model.ID) []byte {
	b := append([]byte("zmsg list cursor\x00"), body...)
	for _, a := range authors {
		b = binary.BigEndian.AppendUint64(b, uint64(a))
	}
	sum := sha256.Sum256(b)
	return sum[:cursorSize-cursorBody]
}

func errCursor() error { return model.NewMalformed("cursor", "is not a cursor of this list") }
