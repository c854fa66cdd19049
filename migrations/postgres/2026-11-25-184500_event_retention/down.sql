ALTER TABLE projects DROP COLUMN first_sequence;
COMMENT ON TABLE service_events IS 'What happened to services; only ever appended to';
