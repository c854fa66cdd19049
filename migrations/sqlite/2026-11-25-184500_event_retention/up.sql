-- From this sequence on the log is whole. Of what is ahead of it, only the newest event of a service that is not destroyed stays.
ALTER TABLE projects ADD COLUMN first_sequence INTEGER NOT NULL DEFAULT 1 CHECK (first_sequence > 0);
