CREATE TABLE pool_members (
    id UUID PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    version TEXT NOT NULL,
    tier JSONB NOT NULL,
    made_of TEXT NOT NULL,
    published JSONB,
    published_port INTEGER,
    state TEXT NOT NULL,
    seen_in BIGINT NOT NULL,
    since TIMESTAMPTZ NOT NULL,
    sealed BYTEA NOT NULL,
    sealed_key_id TEXT NOT NULL
);
COMMENT ON TABLE pool_members IS 'Instances that are ready before anybody asks for them';
COMMENT ON COLUMN pool_members.id IS 'The instance';
COMMENT ON COLUMN pool_members.kind IS 'The kind of service that can take it';
COMMENT ON COLUMN pool_members.version IS 'The version that its server is of';
COMMENT ON COLUMN pool_members.tier IS 'Its size';
COMMENT ON COLUMN pool_members.made_of IS 'What it was made from; only what would be made from the same can take it';
COMMENT ON COLUMN pool_members.published IS 'Where whatever takes it is published; null: on its network only';
COMMENT ON COLUMN pool_members.published_port IS 'The port of that';
COMMENT ON COLUMN pool_members.state IS 'How far it has come';
COMMENT ON COLUMN pool_members.seen_in IS 'The reconciler''s term in which it was last seen to be ready';
COMMENT ON COLUMN pool_members.since IS 'Since when it has its state';
COMMENT ON COLUMN pool_members.sealed IS 'Who may connect to it, sealed for its own id';
COMMENT ON COLUMN pool_members.sealed_key_id IS 'The key that it is sealed with';
CREATE UNIQUE INDEX pool_members_published_port ON pool_members (published_port);
CREATE INDEX pool_members_ready ON pool_members (made_of, since);
