-- The node on which the service's instance is. All of before are on the one engine that there was.
ALTER TABLE services ADD COLUMN node TEXT NOT NULL DEFAULT 'local';
CREATE INDEX services_of_node ON services (node, id, revision) WHERE destroyed_at IS NULL;

-- The node on which it is.
ALTER TABLE instances ADD COLUMN node TEXT NOT NULL DEFAULT 'local';
ALTER TABLE pool_members ADD COLUMN node TEXT NOT NULL DEFAULT 'local';

-- Which replica reconciles each node: a row for each that was ever reconciled.
CREATE TABLE terms_by_node (
    node TEXT NOT NULL PRIMARY KEY,
    -- The replica that reconciles it; null when none does.
    holder TEXT,
    -- Counts the node's terms. What a reconciler writes is refused when its term is over.
    epoch INTEGER NOT NULL,
    -- Counts the holder's signs of life. When it stands still, another replica takes over.
    beat INTEGER NOT NULL
) STRICT;
INSERT INTO terms_by_node (node, holder, epoch, beat) SELECT 'local', holder, epoch, beat FROM reconciler_term;
DROP TABLE reconciler_term;
ALTER TABLE terms_by_node RENAME TO reconciler_term;
