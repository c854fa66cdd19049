CREATE TABLE the_term (
    only_row INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    holder TEXT,
    epoch INTEGER NOT NULL,
    beat INTEGER NOT NULL
) STRICT;
INSERT INTO the_term (only_row, holder, epoch, beat) SELECT 1, holder, epoch, beat FROM reconciler_term WHERE node = 'local';
DROP TABLE reconciler_term;
ALTER TABLE the_term RENAME TO reconciler_term;
ALTER TABLE pool_members DROP COLUMN node;
ALTER TABLE instances DROP COLUMN node;
DROP INDEX services_of_node;
ALTER TABLE services DROP COLUMN node;
