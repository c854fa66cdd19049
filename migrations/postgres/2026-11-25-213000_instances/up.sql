ALTER TABLE services ADD COLUMN instance_id uuid;
COMMENT ON COLUMN services.instance_id IS
    'What runs the service: the container and the volume of this name. A service of before is named like what runs it.';
UPDATE services SET instance_id = id;
ALTER TABLE services ALTER COLUMN instance_id SET NOT NULL;
CREATE UNIQUE INDEX services_of_instance ON services (instance_id);
