-- By which a registry has that image; null where none is known to.
ALTER TABLE instances ADD COLUMN image_digest TEXT;
