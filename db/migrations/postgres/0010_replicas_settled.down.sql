-- Older programs expect the shards of items alone.
DELETE FROM shards WHERE counters;
ALTER TABLE shards DROP COLUMN counters;
ALTER TABLE replicas DROP COLUMN settled;
UPDATE replicas SET sees = '{}';

COMMENT ON COLUMN replicas.sees IS 'the Redis masters that this replica reaches: none of them loses a shard to another one meanwhile';
COMMENT ON COLUMN shards.home IS 'identity of the Redis process that takes the writes; empty before the first opening';
