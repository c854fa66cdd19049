ALTER TABLE services DROP COLUMN rotating;
