ALTER TABLE services ADD COLUMN protected BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE services ADD COLUMN expires_at TIMESTAMPTZ;
ALTER TABLE services ADD COLUMN expiry_told BOOLEAN NOT NULL DEFAULT FALSE;
COMMENT ON COLUMN services.protected IS 'Nobody can destroy it';
COMMENT ON COLUMN services.expires_at IS 'When it is destroyed without anybody asking for it; null: never';
COMMENT ON COLUMN services.expiry_told IS 'An event has said that its expiry is near';
CREATE INDEX services_expiring ON services (expires_at) WHERE destroyed_at IS NULL AND expires_at IS NOT NULL;
