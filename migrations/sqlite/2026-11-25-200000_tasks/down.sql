ALTER TABLE services ADD COLUMN rotating INTEGER NOT NULL DEFAULT 0 CHECK (rotating IN (0, 1));
UPDATE services SET rotating = 1
    WHERE id IN (SELECT service_id FROM tasks WHERE job = 'ROTATE_CREDENTIALS' AND outcome IS NULL);
DROP TABLE tasks;
