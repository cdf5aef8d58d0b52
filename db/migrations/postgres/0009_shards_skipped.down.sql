ALTER TABLE shards DROP COLUMN skipped;
