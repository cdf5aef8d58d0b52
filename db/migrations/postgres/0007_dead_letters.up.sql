CREATE TABLE dead_letters (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard   integer     NOT NULL,
    version bigint      NOT NULL,
    kind    text        NOT NULL,
    key     text        NOT NULL,
    code    text        NOT NULL,
    reason  text        NOT NULL,
    payload bytea       NOT NULL,
    at      timestamptz NOT NULL DEFAULT now()
);

-- The writer who waits for a version asks whether it is here.
CREATE INDEX dead_letters_version ON dead_letters (shard, version);

COMMENT ON TABLE dead_letters IS 'queued writes that could not be stored, until somebody retries or discards them';
COMMENT ON COLUMN dead_letters.version IS '0 if the entry could not be read at all';
COMMENT ON COLUMN dead_letters.kind IS 'item, counter, or entry if it could not be read';
COMMENT ON COLUMN dead_letters.key IS 'the item''s ID, or the counter as subject/metric';
COMMENT ON COLUMN dead_letters.code IS 'SQLSTATE; empty if the database was not asked';
COMMENT ON COLUMN dead_letters.payload IS 'the write as JSON';
