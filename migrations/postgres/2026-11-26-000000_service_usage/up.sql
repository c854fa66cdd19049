CREATE TABLE service_usage (
    service_id UUID NOT NULL REFERENCES services (id),
    slot INTEGER NOT NULL CHECK (slot BETWEEN 0 AND 1439),
    minute TIMESTAMPTZ NOT NULL,
    cpu_millis BIGINT NOT NULL CHECK (cpu_millis >= 0),
    memory_bytes BIGINT NOT NULL CHECK (memory_bytes >= 0),
    storage_bytes BIGINT CHECK (storage_bytes >= 0),
    connections BIGINT CHECK (connections >= 0),
    PRIMARY KEY (service_id, slot)
);
COMMENT ON TABLE service_usage IS 'What services took and held in each minute of the last day';
COMMENT ON COLUMN service_usage.service_id IS 'The service that was measured';
COMMENT ON COLUMN service_usage.slot IS 'The minute of the day, which the same one of the next day takes the place of';
COMMENT ON COLUMN service_usage.minute IS 'The beginning of the minute';
COMMENT ON COLUMN service_usage.cpu_millis IS 'The mean, in thousandths of a core';
COMMENT ON COLUMN service_usage.memory_bytes IS 'Memory in use, in bytes';
COMMENT ON COLUMN service_usage.storage_bytes IS 'On the volume, in bytes; null where it was not counted';
COMMENT ON COLUMN service_usage.connections IS 'Connections of clients; null where they were not counted';
