ALTER TABLE shards DROP COLUMN direct;

ALTER TABLE overrides DROP COLUMN version;

COMMENT ON TABLE overrides IS 'counters that were set or removed while their shard was at home here: should Redis come back with older changes of them, those are left out';
COMMENT ON COLUMN overrides.epoch IS 'of the shard; changes that were queued under earlier ones came before the set';

ALTER TABLE flushed DROP COLUMN subject, DROP COLUMN metric, DROP COLUMN delta;
