-- What services have besides what runs them.
CREATE TABLE instances (
    -- Names the container and the volume.
    id TEXT NOT NULL PRIMARY KEY,
    -- Whose it is.
    service_id TEXT NOT NULL REFERENCES services (id),
    -- What it is there for.
    role TEXT NOT NULL,
    -- The version that its data is of.
    version TEXT NOT NULL,
    -- The engine's id of the image that served its data last; null where none did.
    image TEXT,
    -- Since when it has its role.
    since TEXT NOT NULL,
    -- When it is removed; null where no time is set.
    purge_at TEXT
) STRICT;
CREATE INDEX instances_of_service ON instances (service_id);

-- The version that the service is to be brought to; null where the task is about something else.
ALTER TABLE tasks ADD COLUMN version TEXT;
