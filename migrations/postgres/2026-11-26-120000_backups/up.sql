CREATE TABLE backups (
    id UUID PRIMARY KEY,
    service_id UUID NOT NULL REFERENCES services (id),
    project_id TEXT NOT NULL REFERENCES projects (project_id),
    service_name TEXT NOT NULL,
    kind TEXT NOT NULL,
    version TEXT NOT NULL,
    tier JSONB NOT NULL,
    origin TEXT NOT NULL,
    note TEXT,
    state TEXT NOT NULL,
    phase TEXT,
    content_bytes BIGINT NOT NULL,
    stored_bytes BIGINT,
    object TEXT,
    to_verify BOOLEAN NOT NULL,
    verification JSONB,
    attempts INTEGER NOT NULL,
    not_before TIMESTAMPTZ,
    error JSONB,
    created_at TIMESTAMPTZ NOT NULL,
    begun_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ NOT NULL,
    revision BIGINT NOT NULL
);
COMMENT ON TABLE backups IS 'What services held at a moment, kept where their volumes are not';
COMMENT ON COLUMN backups.id IS 'Its id';
COMMENT ON COLUMN backups.service_id IS 'Whose it is; it outlives that';
COMMENT ON COLUMN backups.service_name IS 'What the service was called when it was asked for';
COMMENT ON COLUMN backups.kind IS 'What it was';
COMMENT ON COLUMN backups.origin IS 'Who asked for it';
COMMENT ON COLUMN backups.phase IS 'What is being done about it; null where nothing is';
COMMENT ON COLUMN backups.content_bytes IS 'How much of its content was taken, in bytes';
COMMENT ON COLUMN backups.stored_bytes IS 'What is kept of it, in bytes; null until it is whole';
COMMENT ON COLUMN backups.object IS 'Where it is kept; null until that was begun';
COMMENT ON COLUMN backups.to_verify IS 'Whether it is to be restored once, to see that it can be';
COMMENT ON COLUMN backups.verification IS 'What was read of it then; null where it was not';
COMMENT ON COLUMN backups.not_before IS 'It is not tried again before this; null: at once';
COMMENT ON COLUMN backups.error IS 'Why it failed, or what it has to wait for';
COMMENT ON COLUMN backups.begun_at IS 'When its content began to be taken';
COMMENT ON COLUMN backups.ended_at IS 'When it was whole';
COMMENT ON COLUMN backups.revision IS 'One more with each write';
COMMENT ON COLUMN backups.project_id IS 'The project that the service belongs to';
COMMENT ON COLUMN backups.version IS 'The version that its data is of';
COMMENT ON COLUMN backups.tier IS 'How large the service was';
COMMENT ON COLUMN backups.note IS 'What whoever asked for it has noted; null where nothing was';
COMMENT ON COLUMN backups.state IS 'What is true of it';
COMMENT ON COLUMN backups.attempts IS 'Tries in a row that failed of what may pass';
COMMENT ON COLUMN backups.created_at IS 'When it was asked for';
COMMENT ON COLUMN backups.updated_at IS 'When it last changed';
CREATE INDEX backups_of_service ON backups (service_id, id);
CREATE INDEX backups_of_project ON backups (project_id, id);
CREATE INDEX backups_open ON backups (id) WHERE to_verify OR state IN ('PENDING', 'RUNNING', 'DELETING');
CREATE UNIQUE INDEX backups_under_way ON backups (service_id) WHERE state IN ('PENDING', 'RUNNING');

ALTER TABLE tasks ADD COLUMN backup_id UUID;
COMMENT ON COLUMN tasks.backup_id IS 'What a restore restores from; null where the task is about something else';
