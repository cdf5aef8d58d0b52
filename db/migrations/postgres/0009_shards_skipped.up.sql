ALTER TABLE shards ADD COLUMN skipped bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN shards.skipped IS 'position of the last round that left out a write or made it a dead letter';
