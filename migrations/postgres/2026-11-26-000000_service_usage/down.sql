DROP TABLE service_usage;
