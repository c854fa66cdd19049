CREATE TABLE tasks (
    id UUID PRIMARY KEY,
    service_id UUID NOT NULL REFERENCES services (id),
    job TEXT NOT NULL,
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    not_before TIMESTAMPTZ,
    error JSONB,
    outcome TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE tasks IS 'Work on services that ends';
COMMENT ON COLUMN tasks.id IS 'A UUID of version 7, so that ids sort by creation';
COMMENT ON COLUMN tasks.service_id IS 'The service that it is about';
COMMENT ON COLUMN tasks.job IS 'What is to be done';
COMMENT ON COLUMN tasks.attempts IS 'How often it has failed since it was asked for';
COMMENT ON COLUMN tasks.not_before IS 'It is not tried again before this; null: at once';
COMMENT ON COLUMN tasks.error IS 'What the newest try failed of; null when none did';
COMMENT ON COLUMN tasks.outcome IS 'What it came to; null while it is open';
COMMENT ON COLUMN tasks.created_at IS 'When it was asked for';
COMMENT ON COLUMN tasks.updated_at IS 'When the row was last written';
-- What is left to do. Of one kind there is one at a time.
CREATE UNIQUE INDEX tasks_open ON tasks (service_id, job) WHERE outcome IS NULL;

-- A change of a password was a mark on its service.
INSERT INTO tasks (id, service_id, job, attempts, created_at, updated_at)
    SELECT id, id, 'ROTATE_CREDENTIALS', 0, updated_at, updated_at FROM services
    WHERE rotating AND destroyed_at IS NULL;
ALTER TABLE services DROP COLUMN rotating;
