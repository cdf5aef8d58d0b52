package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/zmsg/zmsg/model"
)

// storedKey returns the form in which an idempotency key is kept: 64 hexadecimal digits, whatever the
// client sent, and different ones for different operations. "" stays "".
func storedKey(operation, key string) string {
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(operation + "\x00" + key))
	return hex.EncodeToString(sum[:])
}

// batchKey returns the stored key of the n-th operation of a batch.
func batchKey(n int, key string) string { return storedKey("batch."+strconv.Itoa(n), key) }

// claim makes an idempotency key the request's own. It returns the stored key and the fingerprint that
// the write of id (0: a new one) carries; both are "" without a key.
//
// A write keeps its key in the shard of its item, and finds no other there. So that any two requests
// with one key meet, all of them look in the key's own shard, under the same stored key. The write of a
// new ID happens in that shard, as does that of a given ID by chance: the write itself compares what
// is there. Any other leaves its bare fingerprint there before it is made, unless it finds one that is
// not its own. Such a mark cannot be taken for the result of a write, which begins with a
// fingerprint too: the ID is a part of the fingerprint, so that of all requests with one fingerprint
// each leaves a mark, or none does.
//
// Unlike a write, a mark stays when the request is refused: the key then belongs to that request.
func (f *Feeds) claim(ctx context.Context, operation string, id model.ID, opts WriteOptions) (key, fingerprint string, err error) {
	if opts.IdempotencyKey == "" {
		return "", "", nil
	}
	key = storedKey(operation, opts.IdempotencyKey)
	sum := sha256.Sum256([]byte(id.String() + "\x00" + opts.Fingerprint))
	fingerprint = hex.EncodeToString(sum[:])
	if id == 0 || f.deps.ShardOf(id) == f.deps.ShardOfKey(key) {
		return key, fingerprint, nil
	}
	return key, fingerprint, markKey(ctx, f.deps.Results, key, fingerprint)
}

// markKey stores the fingerprint under the key, or reports that another request's is there.
func markKey(ctx context.Context, results Results, key, fingerprint string) error {
	stored, _, err := results.Remember(ctx, key, []byte(fingerprint))
	if err != nil {
		return unknownIfEnded(err)
	}
	if string(stored) != fingerprint {
		return errKeyReused()
	}
	return nil
}

// A key's shard is met by one ID in as many as there are shards. The search takes more and more IDs at
// a time; maxMinted bounds it so that even among 4,096 shards it fails once in 10^13 times.
const (
	minMintBatch = 32
	maxMintBatch = 1024
	maxMinted    = 1 << 17
)

// mint returns an ID for a new item. With a stored key it is one of the key's shard, where the write
// can set the key in the same atomic step. The IDs that it passes over are lost, which costs nothing:
// one generator makes four million in a second.
func (f *Feeds) mint(ctx context.Context, key string) (model.ID, error) {
	if key == "" {
		ids, err := f.deps.Minter.Mint(ctx, 1)
		if err != nil {
			return 0, err
		}
		return ids[0], nil
	}
	shard := f.deps.ShardOfKey(key)
	for minted, n := 0, minMintBatch; minted < maxMinted; minted, n = minted+n, min(2*n, maxMintBatch) {
		ids, err := f.deps.Minter.Mint(ctx, n)
		if err != nil {
			return 0, err
		}
		for _, id := range ids {
			if f.deps.ShardOf(id) == shard {
				return id, nil
			}
		}
	}
	return 0, &model.Error{Kind: model.Internal, Message: "found no ID in the shard of the idempotency key"}
}
