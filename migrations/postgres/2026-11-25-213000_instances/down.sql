DROP INDEX services_of_instance;
ALTER TABLE services DROP COLUMN instance_id;
