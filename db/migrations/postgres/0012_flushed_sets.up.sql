ALTER TABLE flushed
    ADD COLUMN subject text,
    ADD COLUMN metric  text,
    ADD COLUMN delta   bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN flushed.delta IS 'what an addition to a counter added: it stays when a set that came before it is brought here later';

ALTER TABLE overrides ADD COLUMN version bigint NOT NULL DEFAULT 0;

COMMENT ON TABLE overrides IS 'counters that were set or removed while their shard was at home here, or whose set or removal was brought here because Redis was lost: should Redis come back with older changes of them, those are left out';
COMMENT ON COLUMN overrides.version IS 'changes that were queued under lower versions came before the set; of one that was made here, the lowest version of its epoch';
COMMENT ON COLUMN overrides.epoch IS 'that of version, for replicas that do not know versions; what those replicas write has no version';

ALTER TABLE shards ADD COLUMN direct bigint NOT NULL DEFAULT 0;
UPDATE shards SET direct = epoch WHERE home = 'sql' AND ready;

COMMENT ON COLUMN shards.direct IS 'the last epoch in which the database was the home';
