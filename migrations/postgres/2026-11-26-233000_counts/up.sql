CREATE TABLE destroyed_counts (
    kind TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);
COMMENT ON TABLE destroyed_counts IS 'How many services of each kind are destroyed, for it takes long to count what only grows';
COMMENT ON COLUMN destroyed_counts.kind IS 'The kind';
COMMENT ON COLUMN destroyed_counts.number IS 'How many there are';
INSERT INTO destroyed_counts (kind, number)
    SELECT kind, count(*) FROM services WHERE destroyed_at IS NOT NULL GROUP BY kind;
-- A trigger counts what servers of earlier versions destroy as well.
CREATE FUNCTION services_count_destroyed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO destroyed_counts (kind, number) VALUES (NEW.kind, 1)
        ON CONFLICT (kind) DO UPDATE SET number = destroyed_counts.number + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER services_count_destroyed AFTER UPDATE OF destroyed_at ON services FOR EACH ROW
    WHEN (OLD.destroyed_at IS NULL AND NEW.destroyed_at IS NOT NULL) EXECUTE FUNCTION services_count_destroyed();
-- To count all others by.
CREATE INDEX services_counted ON services (kind, state) WHERE destroyed_at IS NULL;
