CREATE TABLE nodes (
    name TEXT PRIMARY KEY,
    cordoned BOOLEAN NOT NULL DEFAULT FALSE,
    away_since TIMESTAMPTZ,
    capacity JSONB NOT NULL,
    engine TEXT
);
COMMENT ON TABLE nodes IS 'What is known of the nodes that were ever reconciled, and what operators have said of them';
COMMENT ON COLUMN nodes.name IS 'Its name';
COMMENT ON COLUMN nodes.cordoned IS 'Whether nothing new is placed on it';
COMMENT ON COLUMN nodes.away_since IS 'Since when its engine does not answer; null while it does';
COMMENT ON COLUMN nodes.capacity IS 'What services there may be promised in all';
COMMENT ON COLUMN nodes.engine IS 'The version of its engine; null until that has answered once';

ALTER TABLE services ADD COLUMN memory_mib BIGINT NOT NULL DEFAULT 0;
ALTER TABLE services ADD COLUMN cpu_millis BIGINT NOT NULL DEFAULT 0;
ALTER TABLE services ADD COLUMN storage_mib BIGINT NOT NULL DEFAULT 0;
COMMENT ON COLUMN services.memory_mib IS 'The memory that its size promises';
COMMENT ON COLUMN services.cpu_millis IS 'The CPU that its size promises, in thousandths of a core';
COMMENT ON COLUMN services.storage_mib IS 'The storage that its size promises';
UPDATE services SET
    memory_mib = COALESCE((spec #>> '{tier,memory_mib}')::bigint, 0),
    cpu_millis = COALESCE((spec #>> '{tier,cpu_millis}')::bigint, 0),
    storage_mib = COALESCE((spec #>> '{tier,storage_mib}')::bigint, 0);
CREATE INDEX services_promised ON services (node, memory_mib, cpu_millis, storage_mib) WHERE destroyed_at IS NULL;
