-- The one row that tells which replica reconciles the engine.
CREATE TABLE reconciler_term (
    -- Always 1, so that there is never a second row.
    only_row INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    -- The replica that reconciles; null when none does.
    holder TEXT,
    -- Counts the terms. What a reconciler writes is refused when its term is over.
    epoch INTEGER NOT NULL,
    -- Counts the holder's signs of life. When it stands still, another replica takes over.
    beat INTEGER NOT NULL
) STRICT;

INSERT INTO reconciler_term (only_row, holder, epoch, beat) VALUES (1, NULL, 0, 0);
