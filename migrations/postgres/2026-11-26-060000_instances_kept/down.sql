ALTER TABLE tasks DROP COLUMN version;
DROP TABLE instances;
