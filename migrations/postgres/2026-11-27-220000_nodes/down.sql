CREATE TABLE the_term (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    holder UUID,
    epoch BIGINT NOT NULL,
    beat BIGINT NOT NULL
);
COMMENT ON TABLE the_term IS 'The one row that tells which replica reconciles the engine';
INSERT INTO the_term (only_row, holder, epoch, beat) SELECT 1, holder, epoch, beat FROM reconciler_term WHERE node = 'local';
DROP TABLE reconciler_term;
ALTER TABLE the_term RENAME TO reconciler_term;
ALTER TABLE pool_members DROP COLUMN node;
ALTER TABLE instances DROP COLUMN node;
ALTER TABLE services DROP COLUMN node;
