-- True while the service's password is being changed: from the request until the server inside takes the new one only.
ALTER TABLE services ADD COLUMN rotating INTEGER NOT NULL DEFAULT 0 CHECK (rotating IN (0, 1));
