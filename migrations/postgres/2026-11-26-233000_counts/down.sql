DROP INDEX services_counted;
DROP TRIGGER services_count_destroyed ON services;
DROP FUNCTION services_count_destroyed();
DROP TABLE destroyed_counts;
