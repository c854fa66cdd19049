DROP INDEX services_backup_due;
ALTER TABLE services DROP COLUMN backup_due_at;
ALTER TABLE services DROP COLUMN backup_policy;
