DROP TABLE pool_members;
