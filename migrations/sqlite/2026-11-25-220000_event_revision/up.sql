-- The revision that the service had from then on, as clients order by; null for events from before there was this column.
ALTER TABLE service_events ADD COLUMN revision INTEGER;
