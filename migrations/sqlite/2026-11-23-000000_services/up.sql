-- src/store/schema.rs describes these tables to diesel; a test compares the two, here and on PostgreSQL.
-- Ids are lower-case UUIDs with hyphens; times are RFC 3339 in UTC with six decimals. Both sort as texts.

-- The one row that tells this store from every other one.
CREATE TABLE installation (
    -- Always 1, so that there is never a second row.
    only_row INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    -- Carried by the labels of all that this installation makes on an engine.
    id TEXT NOT NULL
) STRICT;

-- One row for each project that ever had a service: the head of its event log.
CREATE TABLE projects (
    -- The platform's id of the project.
    project_id TEXT NOT NULL PRIMARY KEY,
    -- The sequence of the newest event. Taken in the transaction that appends.
    last_sequence INTEGER NOT NULL CHECK (last_sequence > 0)
) STRICT, WITHOUT ROWID;

-- Every service there ever was; a destroyed one stays as history.
CREATE TABLE services (
    -- A UUID of version 7, so that ids sort by creation.
    id TEXT NOT NULL PRIMARY KEY,
    -- The project that it belongs to.
    project_id TEXT NOT NULL REFERENCES projects (project_id),
    -- Unique in the project among services that are not destroyed.
    name TEXT NOT NULL,
    -- The kind that the spec names, to filter by.
    kind TEXT NOT NULL,
    -- What was asked for; it never changes.
    spec TEXT NOT NULL CHECK (json_valid(spec)),
    -- The host port that the spec names, if any; unique among services that are not destroyed.
    published_port INTEGER CHECK (published_port BETWEEN 1 AND 65535),
    -- Where its user sent it: RUNNING, STOPPED or DESTROYED.
    desired TEXT NOT NULL,
    -- Counts the user's intents.
    generation INTEGER NOT NULL,
    -- Counts the writes; a write that finds another number than it read is refused.
    revision INTEGER NOT NULL,
    -- What is true of its container, as far as is known.
    state TEXT NOT NULL,
    -- What is being done about it; null when it is settled.
    operation TEXT CHECK (json_valid(operation)),
    -- Why it does not do what it should; null when it does.
    error TEXT CHECK (json_valid(error)),
    -- What earlier looks at the engine have proved.
    evidence TEXT NOT NULL CHECK (json_valid(evidence)),
    -- Its credentials, encrypted; erased when it is destroyed.
    sealed BLOB,
    -- The id of the key that they are encrypted with, to find what a key rotation has left to do.
    sealed_key_id TEXT,
    -- The client's own name for the request that made it; unique in the project, for ever.
    idempotency_key TEXT,
    -- A digest of that request's attributes.
    idempotency_fingerprint TEXT,
    -- When it was accepted.
    created_at TEXT NOT NULL,
    -- When the row was last written, but for a key rotation.
    updated_at TEXT NOT NULL,
    -- When its state became DESTROYED; null until then.
    destroyed_at TEXT,
    CONSTRAINT services_destroyed CHECK ((state = 'DESTROYED') = (destroyed_at IS NOT NULL)),
    CONSTRAINT services_erased CHECK ((sealed IS NULL) = (destroyed_at IS NOT NULL)),
    CONSTRAINT services_sealed CHECK ((sealed IS NULL) = (sealed_key_id IS NULL)),
    CONSTRAINT services_idempotency CHECK ((idempotency_key IS NULL) = (idempotency_fingerprint IS NULL))
) STRICT;

-- The store tells the three apart by how SQLite's message ends, in the last column's name; on PostgreSQL by how the
-- index's name ends.
CREATE UNIQUE INDEX services_unique_name ON services (project_id, name) WHERE destroyed_at IS NULL;
CREATE UNIQUE INDEX services_unique_published_port ON services (published_port) WHERE destroyed_at IS NULL;
CREATE UNIQUE INDEX services_unique_idempotency_key ON services (project_id, idempotency_key);

-- Pages of a project's list.
CREATE INDEX services_of_project ON services (project_id, id);
-- What the reconciler looks at, and what a key rotation walks through.
CREATE INDEX services_active ON services (id, sealed_key_id) WHERE destroyed_at IS NULL;

-- What happened to services; only ever appended to.
CREATE TABLE service_events (
    -- The project whose log it is in.
    project_id TEXT NOT NULL REFERENCES projects (project_id),
    -- Its place in that log: 1 and up, without gaps, in the order of commits.
    sequence INTEGER NOT NULL CHECK (sequence > 0),
    -- The service that it happened to.
    service_id TEXT NOT NULL REFERENCES services (id),
    -- The service's state before; null on its first event.
    previous_state TEXT,
    -- The service's state after.
    state TEXT NOT NULL,
    -- What was being done about the service after it; null when it was settled.
    operation TEXT CHECK (json_valid(operation)),
    -- A sentence for a person; it never holds a secret.
    message TEXT NOT NULL,
    -- The subject of the token that asked for it; null when the system acted.
    actor TEXT,
    -- When it happened, by the clock of the process that wrote it.
    occurred_at TEXT NOT NULL,
    PRIMARY KEY (project_id, sequence)
) STRICT, WITHOUT ROWID;

CREATE INDEX service_events_of_service ON service_events (service_id, sequence);
