-- What services took and held in each minute of the last day.
CREATE TABLE service_usage (
    -- The service that was measured.
    service_id TEXT NOT NULL REFERENCES services (id),
    -- The minute of the day, which the same one of the next day takes the place of.
    slot INTEGER NOT NULL CHECK (slot BETWEEN 0 AND 1439),
    -- The beginning of the minute.
    minute TEXT NOT NULL,
    -- The mean, in thousandths of a core.
    cpu_millis INTEGER NOT NULL CHECK (cpu_millis >= 0),
    -- Memory in use, in bytes.
    memory_bytes INTEGER NOT NULL CHECK (memory_bytes >= 0),
    -- On the volume, in bytes; null where it was not counted.
    storage_bytes INTEGER CHECK (storage_bytes >= 0),
    -- Connections of clients; null where they were not counted.
    connections INTEGER CHECK (connections >= 0),
    PRIMARY KEY (service_id, slot)
) STRICT, WITHOUT ROWID;
