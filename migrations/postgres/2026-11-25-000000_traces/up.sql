ALTER TABLE services ADD COLUMN traceparent TEXT CHECK (length(traceparent) = 55);

COMMENT ON COLUMN services.traceparent IS
    'The place in a trace of what is being done about the service, or was last: W3C''s traceparent. Null when it was not traced';
