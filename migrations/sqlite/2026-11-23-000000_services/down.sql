-- Everything is lost: events first, for they refer to services, and services to projects.
DROP TABLE service_events;
DROP TABLE services;
DROP TABLE projects;
DROP TABLE installation;
