CREATE TABLE id_nodes (
    node_id        integer PRIMARY KEY CHECK (node_id BETWEEN 0 AND 1023),
    holder         text    NOT NULL DEFAULT '',
    epoch          bigint  NOT NULL DEFAULT 0,
    reserved_until bigint  NOT NULL DEFAULT 0
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);

-- All nodes exist from the start, so that taking one is a single UPDATE.
INSERT INTO id_nodes (node_id) SELECT generate_series(0, 1023);

COMMENT ON TABLE id_nodes IS 'nodes of Snowflake IDs and the time that each may use; a row whose time has passed is free';
COMMENT ON COLUMN id_nodes.holder IS 'random name, new for each acquisition';
COMMENT ON COLUMN id_nodes.epoch IS 'number of acquisitions';
COMMENT ON COLUMN id_nodes.reserved_until IS 'the holder makes IDs with timestamps below this only; milliseconds since 1970-01-01T00:00:00Z';
