-- When it is backed up without anybody asking for it, and what is kept of that; null: not.
ALTER TABLE services ADD COLUMN backup_policy TEXT;
-- When that is to happen next, or what is kept of a destroyed one is to be looked through; null: never.
ALTER TABLE services ADD COLUMN backup_due_at TEXT;
CREATE INDEX services_backup_due ON services (backup_due_at) WHERE backup_due_at IS NOT NULL;
