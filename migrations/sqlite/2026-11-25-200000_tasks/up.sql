-- Work on services that ends.
CREATE TABLE tasks (
    -- A UUID of version 7, so that ids sort by creation.
    id TEXT NOT NULL PRIMARY KEY,
    -- The service that it is about.
    service_id TEXT NOT NULL REFERENCES services (id),
    -- What is to be done.
    job TEXT NOT NULL,
    -- How often it has failed since it was asked for.
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    -- It is not tried again before this; null: at once.
    not_before TEXT,
    -- What the newest try failed of; null when none did.
    error TEXT CHECK (json_valid(error)),
    -- What it came to; null while it is open.
    outcome TEXT,
    -- When it was asked for.
    created_at TEXT NOT NULL,
    -- When the row was last written.
    updated_at TEXT NOT NULL
) STRICT;
-- What is left to do. Of one kind there is one at a time.
CREATE UNIQUE INDEX tasks_open ON tasks (service_id, job) WHERE outcome IS NULL;

-- A change of a password was a mark on its service.
INSERT INTO tasks (id, service_id, job, attempts, created_at, updated_at)
    SELECT id, id, 'ROTATE_CREDENTIALS', 0, updated_at, updated_at FROM services
    WHERE rotating = 1 AND destroyed_at IS NULL;
ALTER TABLE services DROP COLUMN rotating;
