CREATE TABLE reconciler_term (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    holder UUID,
    epoch BIGINT NOT NULL,
    beat BIGINT NOT NULL
);
COMMENT ON TABLE reconciler_term IS 'The one row that tells which replica reconciles the engine';
COMMENT ON COLUMN reconciler_term.only_row IS 'Always 1, so that there is never a second row';
COMMENT ON COLUMN reconciler_term.holder IS 'The replica that reconciles; null when none does';
COMMENT ON COLUMN reconciler_term.epoch IS 'Counts the terms. What a reconciler writes is refused when its term is over';
COMMENT ON COLUMN reconciler_term.beat IS 'Counts the holder''s signs of life. When it stands still, another replica takes over';

INSERT INTO reconciler_term (only_row, holder, epoch, beat) VALUES (1, NULL, 0, 0);
