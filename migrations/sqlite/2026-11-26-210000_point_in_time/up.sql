-- Unbroken stretches of what servers write of each change, kept where backups are.
CREATE TABLE log_sections (
    -- The instance whose log it is.
    instance_id TEXT NOT NULL,
    -- The name of its first segment.
    first_segment TEXT NOT NULL,
    -- Whose it is; it outlives that.
    service_id TEXT NOT NULL REFERENCES services (id),
    -- The name of its last segment.
    last_segment TEXT NOT NULL,
    -- It holds all that was written after this.
    since TEXT NOT NULL,
    -- It holds all that was committed before this.
    until TEXT NOT NULL,
    -- Whether more may follow.
    is_open INTEGER NOT NULL,
    -- What was kept of it, compressed and sealed, in bytes.
    stored_bytes INTEGER NOT NULL,
    PRIMARY KEY (instance_id, first_segment)
) STRICT;
CREATE INDEX log_sections_of_service ON log_sections (service_id, since);

-- The instance that it was taken of; null where that was not noted.
ALTER TABLE backups ADD COLUMN instance_id TEXT;

-- The moment that a restore goes on to from its backup; null: it ends with that.
ALTER TABLE tasks ADD COLUMN recover_to TEXT;
