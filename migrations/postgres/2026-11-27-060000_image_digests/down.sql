ALTER TABLE instances DROP COLUMN image_digest;
