ALTER TABLE replicas ADD COLUMN settled bigint[] NOT NULL DEFAULT '{}';

-- What older programs wrote is not by shard; they say it anew with the next heartbeat.
UPDATE replicas SET sees = '{}';

-- The number of each kind is fixed at the first start. Shards made before this are all for items.
ALTER TABLE shards ADD COLUMN counters boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN replicas.sees IS 'for each shard the Redis process that this replica reaches as its master, empty if none: they decide together where a shard may go';
COMMENT ON COLUMN replicas.settled IS 'for each shard the epoch under which this replica works; what it did under older ones has ended';
COMMENT ON COLUMN shards.home IS '''sql'', or identity of the Redis process that takes the writes; empty before the first opening';
COMMENT ON COLUMN shards.counters IS 'the shard holds counters, not items';
