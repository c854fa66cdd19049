-- What is known of the nodes that were ever reconciled, and what operators have said of them.
CREATE TABLE nodes (
    name TEXT NOT NULL PRIMARY KEY,
    -- Whether nothing new is placed on it.
    cordoned INTEGER NOT NULL DEFAULT 0,
    -- Since when its engine does not answer; null while it does.
    away_since TEXT,
    -- What services there may be promised in all, as JSON.
    capacity TEXT NOT NULL CHECK (json_valid(capacity)),
    -- The version of its engine; null until that has answered once.
    engine TEXT
) STRICT;

-- What its size promises, to be summed up for a node.
ALTER TABLE services ADD COLUMN memory_mib INTEGER NOT NULL DEFAULT 0;
ALTER TABLE services ADD COLUMN cpu_millis INTEGER NOT NULL DEFAULT 0;
ALTER TABLE services ADD COLUMN storage_mib INTEGER NOT NULL DEFAULT 0;
UPDATE services SET
    memory_mib = COALESCE(json_extract(spec, '$.tier.memory_mib'), 0),
    cpu_millis = COALESCE(json_extract(spec, '$.tier.cpu_millis'), 0),
    storage_mib = COALESCE(json_extract(spec, '$.tier.storage_mib'), 0);
CREATE INDEX services_promised ON services (node, memory_mib, cpu_millis, storage_mib) WHERE destroyed_at IS NULL;
