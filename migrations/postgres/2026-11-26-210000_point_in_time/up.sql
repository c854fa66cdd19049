CREATE TABLE log_sections (
    instance_id UUID NOT NULL,
    first_segment TEXT NOT NULL,
    service_id UUID NOT NULL REFERENCES services (id),
    last_segment TEXT NOT NULL,
    since TIMESTAMPTZ NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    is_open BOOLEAN NOT NULL,
    stored_bytes BIGINT NOT NULL,
    PRIMARY KEY (instance_id, first_segment)
);
COMMENT ON TABLE log_sections IS 'Unbroken stretches of what servers write of each change, kept where backups are';
COMMENT ON COLUMN log_sections.instance_id IS 'The instance whose log it is';
COMMENT ON COLUMN log_sections.first_segment IS 'The name of its first segment';
COMMENT ON COLUMN log_sections.service_id IS 'Whose it is; it outlives that';
COMMENT ON COLUMN log_sections.last_segment IS 'The name of its last segment';
COMMENT ON COLUMN log_sections.since IS 'It holds all that was written after this';
COMMENT ON COLUMN log_sections.until IS 'It holds all that was committed before this';
COMMENT ON COLUMN log_sections.is_open IS 'Whether more may follow';
COMMENT ON COLUMN log_sections.stored_bytes IS 'What was kept of it, compressed and sealed, in bytes';
CREATE INDEX log_sections_of_service ON log_sections (service_id, since);

ALTER TABLE backups ADD COLUMN instance_id UUID;
COMMENT ON COLUMN backups.instance_id IS 'The instance that it was taken of; null where that was not noted';

ALTER TABLE tasks ADD COLUMN recover_to TIMESTAMPTZ;
COMMENT ON COLUMN tasks.recover_to IS 'The moment that a restore goes on to from its backup; null: it ends with that';
