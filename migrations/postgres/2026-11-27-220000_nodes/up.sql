ALTER TABLE services ADD COLUMN node TEXT NOT NULL DEFAULT 'local';
COMMENT ON COLUMN services.node IS 'The node on which the service''s instance is';
CREATE INDEX services_of_node ON services (node, id, revision) WHERE destroyed_at IS NULL;

ALTER TABLE instances ADD COLUMN node TEXT NOT NULL DEFAULT 'local';
COMMENT ON COLUMN instances.node IS 'The node on which it is';
ALTER TABLE pool_members ADD COLUMN node TEXT NOT NULL DEFAULT 'local';
COMMENT ON COLUMN pool_members.node IS 'The node on which it is';

CREATE TABLE terms_by_node (
    node TEXT PRIMARY KEY,
    holder UUID,
    epoch BIGINT NOT NULL,
    beat BIGINT NOT NULL
);
COMMENT ON TABLE terms_by_node IS 'Which replica reconciles each node: a row for each that was ever reconciled';
COMMENT ON COLUMN terms_by_node.node IS 'The node';
COMMENT ON COLUMN terms_by_node.holder IS 'The replica that reconciles it; null when none does';
COMMENT ON COLUMN terms_by_node.epoch IS 'Counts the node''s terms. What a reconciler writes is refused when its term is over';
COMMENT ON COLUMN terms_by_node.beat IS 'Counts the holder''s signs of life. When it stands still, another replica takes over';
INSERT INTO terms_by_node (node, holder, epoch, beat) SELECT 'local', holder, epoch, beat FROM reconciler_term;
DROP TABLE reconciler_term;
ALTER TABLE terms_by_node RENAME TO reconciler_term;
