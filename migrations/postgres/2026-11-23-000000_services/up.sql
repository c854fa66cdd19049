-- src/store/schema.rs describes these tables to diesel; a test compares the two, here and on SQLite.

CREATE TABLE installation (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    id UUID NOT NULL
);
COMMENT ON TABLE installation IS 'The one row that tells this store from every other one';
COMMENT ON COLUMN installation.only_row IS 'Always 1, so that there is never a second row';
COMMENT ON COLUMN installation.id IS 'Carried by the labels of all that this installation makes on an engine';

CREATE TABLE projects (
    project_id TEXT PRIMARY KEY,
    last_sequence BIGINT NOT NULL CHECK (last_sequence > 0)
);
COMMENT ON TABLE projects IS 'One row for each project that ever had a service: the head of its event log';
COMMENT ON COLUMN projects.project_id IS 'The platform''s id of the project';
COMMENT ON COLUMN projects.last_sequence IS
    'The sequence of the newest event. Taken by UPDATE in the transaction that appends: the row''s lock makes appends '
    'commit in the order of their sequences';

CREATE TABLE services (
    id UUID PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (project_id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    spec JSONB NOT NULL,
    published_port INTEGER CHECK (published_port BETWEEN 1 AND 65535),
    desired TEXT NOT NULL,
    generation BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    state TEXT NOT NULL,
    operation JSONB,
    error JSONB,
    evidence JSONB NOT NULL,
    sealed BYTEA,
    sealed_key_id TEXT,
    idempotency_key TEXT,
    idempotency_fingerprint TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    destroyed_at TIMESTAMPTZ,
    CONSTRAINT services_destroyed CHECK ((state = 'DESTROYED') = (destroyed_at IS NOT NULL)),
    CONSTRAINT services_erased CHECK ((sealed IS NULL) = (destroyed_at IS NOT NULL)),
    CONSTRAINT services_sealed CHECK ((sealed IS NULL) = (sealed_key_id IS NULL)),
    CONSTRAINT services_idempotency CHECK ((idempotency_key IS NULL) = (idempotency_fingerprint IS NULL))
);
COMMENT ON TABLE services IS 'Every service there ever was; a destroyed one stays as history';
COMMENT ON COLUMN services.id IS 'A UUID of version 7, so that ids sort by creation';
COMMENT ON COLUMN services.project_id IS 'The project that it belongs to';
COMMENT ON COLUMN services.name IS 'Unique in the project among services that are not destroyed';
COMMENT ON COLUMN services.kind IS 'The kind that the spec names, to filter by';
COMMENT ON COLUMN services.spec IS 'What was asked for; it never changes';
COMMENT ON COLUMN services.published_port IS 'The host port that the spec names, if any; unique among services that are not destroyed';
COMMENT ON COLUMN services.desired IS 'Where its user sent it: RUNNING, STOPPED or DESTROYED';
COMMENT ON COLUMN services.generation IS 'Counts the user''s intents';
COMMENT ON COLUMN services.revision IS 'Counts the writes; a write that finds another number than it read is refused';
COMMENT ON COLUMN services.state IS 'What is true of its container, as far as is known';
COMMENT ON COLUMN services.operation IS 'What is being done about it; null when it is settled';
COMMENT ON COLUMN services.error IS 'Why it does not do what it should; null when it does';
COMMENT ON COLUMN services.evidence IS 'What earlier looks at the engine have proved';
COMMENT ON COLUMN services.sealed IS 'Its credentials, encrypted; erased when it is destroyed';
COMMENT ON COLUMN services.sealed_key_id IS 'The id of the key that they are encrypted with, to find what a key rotation has left to do';
COMMENT ON COLUMN services.idempotency_key IS 'The client''s own name for the request that made it; unique in the project, for ever';
COMMENT ON COLUMN services.idempotency_fingerprint IS 'A digest of that request''s attributes';
COMMENT ON COLUMN services.created_at IS 'When it was accepted';
COMMENT ON COLUMN services.updated_at IS 'When the row was last written, but for a key rotation';
COMMENT ON COLUMN services.destroyed_at IS 'When its state became DESTROYED; null until then';

-- The store tells the three apart by how these names end; on SQLite by how its message ends, in the column's name.
CREATE UNIQUE INDEX services_unique_name ON services (project_id, name) WHERE destroyed_at IS NULL;
CREATE UNIQUE INDEX services_unique_published_port ON services (published_port) WHERE destroyed_at IS NULL;
CREATE UNIQUE INDEX services_unique_idempotency_key ON services (project_id, idempotency_key);

-- Pages of a project's list.
CREATE INDEX services_of_project ON services (project_id, id);
-- What the reconciler looks at, and what a key rotation walks through.
CREATE INDEX services_active ON services (id, sealed_key_id) WHERE destroyed_at IS NULL;

CREATE TABLE service_events (
    project_id TEXT NOT NULL REFERENCES projects (project_id),
    sequence BIGINT NOT NULL CHECK (sequence > 0),
    service_id UUID NOT NULL REFERENCES services (id),
    previous_state TEXT,
    state TEXT NOT NULL,
    operation JSONB,
    message TEXT NOT NULL,
    actor TEXT,
    occurred_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (project_id, sequence)
);
COMMENT ON TABLE service_events IS 'What happened to services; only ever appended to';
COMMENT ON COLUMN service_events.project_id IS 'The project whose log it is in';
COMMENT ON COLUMN service_events.sequence IS 'Its place in that log: 1 and up, without gaps, in the order of commits';
COMMENT ON COLUMN service_events.service_id IS 'The service that it happened to';
COMMENT ON COLUMN service_events.previous_state IS 'The service''s state before; null on its first event';
COMMENT ON COLUMN service_events.state IS 'The service''s state after';
COMMENT ON COLUMN service_events.operation IS 'What was being done about the service after it; null when it was settled';
COMMENT ON COLUMN service_events.message IS 'A sentence for a person; it never holds a secret';
COMMENT ON COLUMN service_events.actor IS 'The subject of the token that asked for it; null when the system acted';
COMMENT ON COLUMN service_events.occurred_at IS 'When it happened, by the clock of the replica that wrote it';

CREATE INDEX service_events_of_service ON service_events (service_id, sequence);
