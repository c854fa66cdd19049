-- The place in a trace of what is being done about the service, or was last: W3C's traceparent. Null when it was not traced.
ALTER TABLE services ADD COLUMN traceparent TEXT CHECK (length(traceparent) = 55);
