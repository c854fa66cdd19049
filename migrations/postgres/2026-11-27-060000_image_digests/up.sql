ALTER TABLE instances ADD COLUMN image_digest TEXT;
COMMENT ON COLUMN instances.image_digest IS 'By which a registry has that image; null where none is known to';
