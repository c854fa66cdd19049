ALTER TABLE services ADD COLUMN backup_policy JSONB;
ALTER TABLE services ADD COLUMN backup_due_at TIMESTAMPTZ;
COMMENT ON COLUMN services.backup_policy IS 'When it is backed up without anybody asking for it, and what is kept of that; null: not';
COMMENT ON COLUMN services.backup_due_at IS 'When that is to happen next, or what is kept of a destroyed one is to be looked through; null: never';
CREATE INDEX services_backup_due ON services (backup_due_at) WHERE backup_due_at IS NOT NULL;
