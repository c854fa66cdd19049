ALTER TABLE projects DROP COLUMN first_sequence;
