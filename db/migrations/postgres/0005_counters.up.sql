-- fillfactor: room in each page for HOT updates, of which a busy counter gets many. No index holds the value.
-- COLLATE "C": names are compared byte for byte, the fastest way, and the one that no library changes.
CREATE TABLE counters (
    subject text   COLLATE "C" NOT NULL,
    metric  text   COLLATE "C" NOT NULL,
    value   bigint NOT NULL CHECK (value BETWEEN -9007199254740991 AND 9007199254740991),
    PRIMARY KEY (subject, metric)
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05
);

COMMENT ON TABLE counters IS 'counters, one row each; one that is not there is 0';
COMMENT ON COLUMN counters.value IS 'sum of all changes up to the position of the counter''s shard; within 2^53-1, which every JSON reader keeps exactly';
