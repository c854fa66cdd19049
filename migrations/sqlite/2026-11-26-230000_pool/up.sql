-- Instances that are ready before anybody asks for them.
CREATE TABLE pool_members (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    version TEXT NOT NULL,
    -- Its size, as JSON.
    tier TEXT NOT NULL,
    -- What it was made from; only what would be made from the same can take it.
    made_of TEXT NOT NULL,
    -- Where whatever takes it is published, as JSON; null: on its network only.
    published TEXT,
    -- The port of that.
    published_port INTEGER,
    state TEXT NOT NULL,
    -- The reconciler's term in which it was last seen to be ready.
    seen_in INTEGER NOT NULL,
    -- Since when it has its state.
    since TEXT NOT NULL,
    -- Who may connect to it, sealed for its own id.
    sealed BLOB NOT NULL,
    sealed_key_id TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX pool_members_published_port ON pool_members (published_port);
CREATE INDEX pool_members_ready ON pool_members (made_of, since);
