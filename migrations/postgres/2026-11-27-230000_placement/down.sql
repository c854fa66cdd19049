ALTER TABLE services DROP COLUMN storage_mib;
ALTER TABLE services DROP COLUMN cpu_millis;
ALTER TABLE services DROP COLUMN memory_mib;
DROP TABLE nodes;
