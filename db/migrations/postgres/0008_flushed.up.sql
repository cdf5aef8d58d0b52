CREATE TABLE flushed (
    shard   integer NOT NULL,
    version bigint  NOT NULL,
    PRIMARY KEY (shard, version)
);

COMMENT ON TABLE flushed IS 'changes of counters, and items that became dead letters, which the replica that had queued them brought here itself, because Redis was lost: should Redis come back with them, they are left out';
