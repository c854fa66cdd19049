ALTER TABLE services DROP COLUMN traceparent;
