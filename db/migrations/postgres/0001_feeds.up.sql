-- fillfactor: room in each page for HOT updates. A new version of an item changes no indexed column,
-- so that with room in its page it touches no index at all.
CREATE TABLE feeds (
    id         bigint      PRIMARY KEY CHECK (id > 0),
    author_id  bigint      NOT NULL,
    kind       text        NOT NULL,
    content    text        NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version    bigint      NOT NULL,
    deleted    boolean     NOT NULL DEFAULT false
) WITH (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02
);

-- Lists: each author's live items from the newest on. It holds all that a page is chosen by.
CREATE INDEX feeds_author ON feeds (author_id, id DESC) WHERE NOT deleted;

-- Removal of old tombstones. On id, not on updated_at: an indexed column that every write changes
-- would put an end to HOT updates.
CREATE INDEX feeds_tombstones ON feeds (id) WHERE deleted;

COMMENT ON TABLE feeds IS 'feed items, one row each; a deleted item stays as a tombstone for a while';
COMMENT ON COLUMN feeds.id IS 'Snowflake ID';
COMMENT ON COLUMN feeds.content IS 'JSON, byte for byte as the client sent it (jsonb would reorder it); empty in a tombstone';
COMMENT ON COLUMN feeds.version IS 'epoch of the shard (high 23 bits) and sequence in it (low 40); only ever rises';
COMMENT ON COLUMN feeds.deleted IS 'a tombstone: keeps an older write from bringing the item back';
