DROP INDEX services_expiring;
ALTER TABLE services DROP COLUMN expiry_told;
ALTER TABLE services DROP COLUMN expires_at;
ALTER TABLE services DROP COLUMN protected;
