CREATE TABLE overrides (
    shard   integer NOT NULL,
    subject text    NOT NULL,
    metric  text    NOT NULL,
    epoch   bigint  NOT NULL,
    PRIMARY KEY (shard, subject, metric)
);

COMMENT ON TABLE overrides IS 'counters that were set or removed while their shard was at home here: should Redis come back with older changes of them, those are left out';
COMMENT ON COLUMN overrides.epoch IS 'of the shard; changes that were queued under earlier ones came before the set';
