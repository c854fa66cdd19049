-- Nobody can destroy it.
ALTER TABLE services ADD COLUMN protected INTEGER NOT NULL DEFAULT 0;
-- When it is destroyed without anybody asking for it; null: never.
ALTER TABLE services ADD COLUMN expires_at TEXT;
-- An event has said that its expiry is near.
ALTER TABLE services ADD COLUMN expiry_told INTEGER NOT NULL DEFAULT 0;
CREATE INDEX services_expiring ON services (expires_at) WHERE destroyed_at IS NULL AND expires_at IS NOT NULL;
