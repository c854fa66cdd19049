ALTER TABLE tasks DROP COLUMN backup_id;
DROP TABLE backups;
