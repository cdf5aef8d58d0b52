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

// A key's shard is met by one ID in as many as there are shards. maxMinted bounds the search: among
// 1,024 shards, one search in 3,000 would fail, among 64 none ever does.
const (
	mintBatch = 32
	maxMinted = 8192
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
	for range maxMinted / mintBatch {
		ids, err := f.deps.Minter.Mint(ctx, mintBatch)
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
