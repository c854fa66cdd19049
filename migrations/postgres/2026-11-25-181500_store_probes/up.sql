CREATE TABLE store_probes (
    id UUID PRIMARY KEY
);
COMMENT ON TABLE store_probes IS 'Where the store tries whether it takes changes: a row is written and taken back in one transaction';
COMMENT ON COLUMN store_probes.id IS 'The try''s own, so that two at once do not wait for each other';
