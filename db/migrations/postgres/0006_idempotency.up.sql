CREATE TABLE idempotency (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard   integer     NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    keys    text[]      COLLATE "C" NOT NULL,
    records text[]      COLLATE "C" NOT NULL CHECK (cardinality(records) = cardinality(keys))
) WITH (
    autovacuum_vacuum_insert_scale_factor = 0.05
);

-- The pending list makes insertions cheap, and every search reads all of it: it is kept short.
CREATE INDEX idempotency_keys ON idempotency USING gin (keys) WITH (gin_pending_list_limit = 512);

-- Removal of old rows.
CREATE INDEX idempotency_at ON idempotency (at);

COMMENT ON TABLE idempotency IS 'idempotency keys of committed writes, one row for a shard and a round of its drain';
COMMENT ON COLUMN idempotency.records IS 'what is remembered of each key: fingerprint of the request, and the result';
