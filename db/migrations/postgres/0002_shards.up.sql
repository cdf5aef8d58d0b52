-- A few rows, updated many times a second: pages stay half empty so that updates are HOT, and vacuum
-- comes early.
CREATE TABLE shards (
    shard    integer PRIMARY KEY CHECK (shard >= 0),
    epoch    bigint  NOT NULL DEFAULT 0 CHECK (epoch BETWEEN 0 AND 8388607),
    home     text    NOT NULL DEFAULT '',
    ready    boolean NOT NULL DEFAULT false,
    opener   text    NOT NULL DEFAULT '',
    position bigint  NOT NULL DEFAULT 0
) WITH (
    fillfactor = 25,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);

COMMENT ON TABLE shards IS 'where each shard''s writes are taken now, and how far they have reached SQL; the number of rows is fixed at the first start';
COMMENT ON COLUMN shards.epoch IS 'rises with every change of home';
COMMENT ON COLUMN shards.home IS 'identity of the Redis process that takes the writes; empty before the first opening';
COMMENT ON COLUMN shards.ready IS 'false while the opener moves the shard to its home';
COMMENT ON COLUMN shards.opener IS 'the replica that opened or opens this epoch';
COMMENT ON COLUMN shards.position IS 'version of the last queued write that is committed here';
