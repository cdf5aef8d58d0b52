package service

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/zmsg/zmsg/model"
)

// MaxMint is the highest number of IDs of one request.
const MaxMint = 10_000

// IDsDeps are the parts that IDs works with. All are required.
type IDsDeps struct {
	Minter  Minter
	Results Results
	// Decode takes an ID apart.
	Decode func(model.ID) (t time.Time, node, sequence int)
}

// IDs makes and explains IDs. Its methods are safe for concurrent use.
type IDs struct{ deps IDsDeps }

// NewIDs returns IDs over its parts.
func NewIDs(deps IDsDeps) *IDs {
	return &IDs{deps: deps}
}

// Mint returns count (1 to MaxMint) new IDs in ascending order. A repeat of a request with an
// idempotency key gets the IDs of the first one; the key with another fingerprint is KeyReused.
func (s *IDs) Mint(ctx context.Context, count int, idempotencyKey, fingerprint string) (ids []model.ID, replayed bool, err error) {
	if count < 1 || count > MaxMint {
		return nil, false, model.NewInvalid("/count", fmt.Sprintf("must be from 1 to %d", MaxMint))
	}
	// Of a repeat these are lost, which is cheaper than to ask for the key first.
	if ids, err = s.deps.Minter.Mint(ctx, count); err != nil {
		return nil, false, err
	}
	if idempotencyKey == "" {
		return ids, false, nil
	}
	record := appendMinted(nil, fingerprint, ids)
	stored, replayed, err := s.deps.Results.Remember(ctx, storedKey("ids", idempotencyKey), record)
	if err != nil {
		return nil, false, unknownIfEnded(err)
	}
	if !replayed {
		return ids, false, nil
	}
	first, ids, err := parseMinted(stored)
	if err != nil {
		return nil, false, err
	}
	if first != fingerprint {
		return nil, false, errKeyReused()
	}
	return ids, true, nil
}

// Describe takes an ID apart.
func (s *IDs) Describe(id model.ID) IDParts {
	t, node, sequence := s.deps.Decode(id)
	return IDParts{ID: id, Timestamp: t, Node: node, Sequence: sequence}
}

// appendMinted appends the record of minted IDs: the fingerprint, preceded by its length, then for
// each run of consecutive IDs the distance of its first from the end of the run before, and its
// length. All numbers are unsigned varints, so that ten thousand IDs take a few dozen bytes.
func appendMinted(dst []byte, fingerprint string, ids []model.ID) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(fingerprint)))
	dst = append(dst, fingerprint...)
	var end model.ID
	for i := 0; i < len(ids); {
		n := 1
		for i+n < len(ids) && ids[i+n] == ids[i]+model.ID(n) {
			n++
		}
		dst = binary.AppendUvarint(dst, uint64(ids[i]-end))
		dst = binary.AppendUvarint(dst, uint64(n))
		end = ids[i] + model.ID(n)
		i += n
	}
	return dst
}

var errMinted = errors.New("service: the stored answer to a request for IDs is damaged")

// parseMinted reads what appendMinted wrote.
func parseMinted(b []byte) (fingerprint string, ids []model.ID, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return "", nil, errMinted
	}
	fingerprint, b = string(b[n:n+int(size)]), b[n+int(size):]
	var end model.ID
	for len(b) > 0 {
		gap, n := binary.Uvarint(b)
		if n <= 0 {
			return "", nil, errMinted
		}
		length, m := binary.Uvarint(b[n:])
		if m <= 0 || length > MaxMint-uint64(len(ids)) {
			return "", nil, errMinted
		}
		end += model.ID(gap)
		for range length {
			ids = append(ids, end)
			end++
		}
		b = b[n+m:]
	}
	return fingerprint, ids, nil
}
