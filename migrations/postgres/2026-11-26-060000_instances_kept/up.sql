CREATE TABLE instances (
    id UUID PRIMARY KEY,
    service_id UUID NOT NULL REFERENCES services (id),
    role TEXT NOT NULL,
    version TEXT NOT NULL,
    image TEXT,
    since TIMESTAMPTZ NOT NULL,
    purge_at TIMESTAMPTZ
);
COMMENT ON TABLE instances IS 'What services have besides what runs them';
COMMENT ON COLUMN instances.id IS 'Names the container and the volume';
COMMENT ON COLUMN instances.service_id IS 'Whose it is';
COMMENT ON COLUMN instances.role IS 'What it is there for';
COMMENT ON COLUMN instances.version IS 'The version that its data is of';
COMMENT ON COLUMN instances.image IS 'The engine''s id of the image that served its data last; null where none did';
COMMENT ON COLUMN instances.since IS 'Since when it has its role';
COMMENT ON COLUMN instances.purge_at IS 'When it is removed; null where no time is set';
CREATE INDEX instances_of_service ON instances (service_id);

ALTER TABLE tasks ADD COLUMN version TEXT;
COMMENT ON COLUMN tasks.version IS 'The version that the service is to be brought to; null where the task is about something else';
