-- What runs services: one container and one volume each, both named by the instance's id.
CREATE TABLE instances (
    -- A UUID. Of what was made before there were instances it is the service's.
    id TEXT NOT NULL PRIMARY KEY,
    -- Whose it is. It stands here and in no label, for the engine can't change labels.
    service_id TEXT NOT NULL REFERENCES services (id),
    -- When it was thought of; what is made for it is younger.
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX instances_of_service ON instances (service_id);

INSERT INTO instances (id, service_id, created_at) SELECT id, id, created_at FROM services;

-- The instance that is the service now; the one with the service's own id where it is null.
ALTER TABLE services ADD COLUMN instance_id TEXT REFERENCES instances (id);
UPDATE services SET instance_id = id;

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
