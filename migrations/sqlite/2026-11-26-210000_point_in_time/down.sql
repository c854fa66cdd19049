ALTER TABLE tasks DROP COLUMN recover_to;
ALTER TABLE backups DROP COLUMN instance_id;
DROP TABLE log_sections;
