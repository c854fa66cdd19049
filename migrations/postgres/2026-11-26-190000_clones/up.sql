ALTER TABLE tasks ADD COLUMN source_id UUID;
COMMENT ON COLUMN tasks.source_id IS 'What a clone has the data of; null where the task is about something else';
