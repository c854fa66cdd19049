ALTER TABLE projects ADD COLUMN first_sequence BIGINT NOT NULL DEFAULT 1 CHECK (first_sequence > 0);

COMMENT ON COLUMN projects.first_sequence IS
    'From this sequence on the log is whole. Of what is ahead of it, only the newest event of a service that is not destroyed stays';
COMMENT ON TABLE service_events IS 'What happened to services; appended to, and trimmed from its beginning';
