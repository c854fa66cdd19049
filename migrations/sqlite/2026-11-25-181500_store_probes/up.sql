-- Where the store tries whether it takes changes: a row is written and taken back in one transaction.
CREATE TABLE store_probes (
    -- The try's own, so that two at once do not wait for each other.
    id TEXT NOT NULL PRIMARY KEY
) STRICT;
