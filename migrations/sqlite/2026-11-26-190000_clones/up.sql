-- What a clone has the data of; null where the task is about something else.
ALTER TABLE tasks ADD COLUMN source_id TEXT;
