CREATE TABLE replicas (
    replica     text        PRIMARY KEY,
    started_at  timestamptz NOT NULL,
    alive_until timestamptz NOT NULL,
    sees        text[]      NOT NULL DEFAULT '{}'
) WITH (
    fillfactor = 25,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);

COMMENT ON TABLE replicas IS 'running processes; those long dead are removed by the others';
COMMENT ON COLUMN replicas.alive_until IS 'no permission of this replica lasts longer; a new epoch waits for it';
COMMENT ON COLUMN replicas.sees IS 'the Redis masters that this replica reaches: none of them loses a shard to another one meanwhile';
