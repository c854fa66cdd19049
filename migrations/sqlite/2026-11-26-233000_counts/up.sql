-- How many services of each kind are destroyed, for it takes long to count what only grows.
CREATE TABLE destroyed_counts (
    -- The kind.
    kind TEXT NOT NULL PRIMARY KEY,
    -- How many there are.
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO destroyed_counts (kind, number)
    SELECT kind, count(*) FROM services WHERE destroyed_at IS NOT NULL GROUP BY kind;
-- A trigger counts what servers of earlier versions destroy as well.
CREATE TRIGGER services_count_destroyed AFTER UPDATE OF destroyed_at ON services
WHEN OLD.destroyed_at IS NULL AND NEW.destroyed_at IS NOT NULL
BEGIN
    INSERT INTO destroyed_counts (kind, number) VALUES (NEW.kind, 1)
        ON CONFLICT (kind) DO UPDATE SET number = number + 1;
END;
-- To count all others by.
CREATE INDEX services_counted ON services (kind, state) WHERE destroyed_at IS NULL;
