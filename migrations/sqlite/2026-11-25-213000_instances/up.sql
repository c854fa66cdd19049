-- What runs the service: the container and the volume of this name. A service of before is named like what runs it.
ALTER TABLE services ADD COLUMN instance_id TEXT NOT NULL DEFAULT '';
UPDATE services SET instance_id = id;
CREATE UNIQUE INDEX services_of_instance ON services (instance_id);
