package postgres

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// hexRecord begins what a text column could not hold as it is.
const hexRecord = `\x`

// encodeRecord returns what is remembered of a key as text. Most of it is text, and stays as it is.
func encodeRecord(result []byte) string {
	s := string(result)
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") && !strings.HasPrefix(s, hexRecord) {
		return s
	}
	return hexRecord + hex.EncodeToString(result)
}

// decodeRecord reads what encodeRecord wrote.
func decodeRecord(record string) []byte {
	if digits, ok := strings.CutPrefix(record, hexRecord); ok {
		if result, err := hex.DecodeString(digits); err == nil {
			return result
		}
	}
	return []byte(record)
}
