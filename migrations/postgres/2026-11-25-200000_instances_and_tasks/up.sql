CREATE TABLE instances (
    id UUID PRIMARY KEY,
    service_id UUID NOT NULL REFERENCES services (id),
    created_at TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE instances IS 'What runs services: one container and one volume each, both named by the instance''s id';
COMMENT ON COLUMN instances.id IS 'A UUID. Of what was made before there were instances it is the service''s';
COMMENT ON COLUMN instances.service_id IS
    'Whose it is. It stands here and in no label, for the engine can''t change labels';
COMMENT ON COLUMN instances.created_at IS 'When it was thought of; what is made for it is younger';
CREATE INDEX instances_of_service ON instances (service_id);

INSERT INTO instances (id, service_id, created_at) SELECT id, id, created_at FROM services;

ALTER TABLE services ADD COLUMN instance_id UUID REFERENCES instances (id);
COMMENT ON COLUMN services.instance_id IS
    'The instance that is the service now; the one with the service''s own id where it is null';
UPDATE services SET instance_id = id;

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
