-- What services held at a moment, kept where their volumes are not.
CREATE TABLE backups (
    -- A UUID of version 7.
    id TEXT NOT NULL PRIMARY KEY,
    -- Whose it is; it outlives that.
    service_id TEXT NOT NULL REFERENCES services (id),
    -- The project that the service belongs to.
    project_id TEXT NOT NULL REFERENCES projects (project_id),
    -- What the service was called when it was asked for.
    service_name TEXT NOT NULL,
    -- What it was.
    kind TEXT NOT NULL,
    -- The version that its data is of.
    version TEXT NOT NULL,
    -- How large the service was.
    tier TEXT NOT NULL,
    -- Who asked for it.
    origin TEXT NOT NULL,
    -- What whoever asked for it has noted; null where nothing was.
    note TEXT,
    -- What is true of it.
    state TEXT NOT NULL,
    -- What is being done about it; null where nothing is.
    phase TEXT,
    -- How much of its content was taken, in bytes.
    content_bytes INTEGER NOT NULL,
    -- What is kept of it, in bytes; null until it is whole.
    stored_bytes INTEGER,
    -- Where it is kept; null until that was begun.
    object TEXT,
    -- Whether it is to be restored once, to see that it can be.
    to_verify INTEGER NOT NULL,
    -- What was read of it then; null where it was not.
    verification TEXT,
    -- Tries in a row that failed of what may pass.
    attempts INTEGER NOT NULL,
    -- It is not tried again before this; null: at once.
    not_before TEXT,
    -- Why it failed, or what it has to wait for.
    error TEXT,
    -- When it was asked for.
    created_at TEXT NOT NULL,
    -- When its content began to be taken.
    begun_at TEXT,
    -- When it was whole.
    ended_at TEXT,
    -- When it last changed.
    updated_at TEXT NOT NULL,
    -- One more with each write.
    revision INTEGER NOT NULL
) STRICT;
CREATE INDEX backups_of_service ON backups (service_id, id);
CREATE INDEX backups_of_project ON backups (project_id, id);
-- Those about which something is to be done.
CREATE INDEX backups_open ON backups (id) WHERE to_verify OR state IN ('PENDING', 'RUNNING', 'DELETING');
-- Of one service one at a time.
CREATE UNIQUE INDEX backups_under_way ON backups (service_id) WHERE state IN ('PENDING', 'RUNNING');

-- What a restore restores from; null where the task is about something else.
ALTER TABLE tasks ADD COLUMN backup_id TEXT;
