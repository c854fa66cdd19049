ALTER TABLE service_events DROP COLUMN revision;
