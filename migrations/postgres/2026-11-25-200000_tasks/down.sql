ALTER TABLE services ADD COLUMN rotating boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN services.rotating IS
    'True while the service''s password is being changed: from the request until the server inside takes the new one only.';
UPDATE services SET rotating = true
    WHERE id IN (SELECT service_id FROM tasks WHERE job = 'ROTATE_CREDENTIALS' AND outcome IS NULL);
DROP TABLE tasks;
