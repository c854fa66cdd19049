ALTER TABLE service_events ADD COLUMN revision BIGINT;

COMMENT ON COLUMN service_events.revision IS
    'The revision that the service had from then on; null for events from before there was this column';
