ALTER TABLE tasks DROP COLUMN source_id;
