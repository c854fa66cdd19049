//! The tables, as diesel sees them on both backends. Kept by hand; a test compares it with the migrations (diesel.toml).

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    backups (id) {
        id -> Uuid,
        service_id -> Uuid,
        project_id -> Text,
        service_name -> Text,
        kind -> Text,
        version -> Text,
        tier -> Jsonb,
        origin -> Text,
        note -> Nullable<Text>,
        state -> Text,
        phase -> Nullable<Text>,
        content_bytes -> Int8,
        stored_bytes -> Nullable<Int8>,
        object -> Nullable<Text>,
        to_verify -> Bool,
        verification -> Nullable<Jsonb>,
        attempts -> Int4,
        not_before -> Nullable<Instant>,
        error -> Nullable<Jsonb>,
        created_at -> Instant,
        begun_at -> Nullable<Instant>,
        ended_at -> Nullable<Instant>,
        updated_at -> Instant,
        revision -> Int8,
        instance_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    destroyed_counts (kind) {
        kind -> Text,
        number -> Int8,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    installation (only_row) {
        only_row -> Int4,
        id -> Uuid,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    instances (id) {
        id -> Uuid,
        service_id -> Uuid,
        role -> Text,
        version -> Text,
        image -> Nullable<Text>,
        since -> Instant,
        purge_at -> Nullable<Instant>,
        image_digest -> Nullable<Text>,
        node -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    log_sections (instance_id, first_segment) {
        instance_id -> Uuid,
        first_segment -> Text,
        service_id -> Uuid,
        last_segment -> Text,
        since -> Instant,
        until -> Instant,
        is_open -> Bool,
        stored_bytes -> Int8,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    nodes (name) {
        name -> Text,
        cordoned -> Bool,
        away_since -> Nullable<Instant>,
        capacity -> Jsonb,
        engine -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    pool_members (id) {
        id -> Uuid,
        kind -> Text,
        version -> Text,
        tier -> Jsonb,
        made_of -> Text,
        published -> Nullable<Jsonb>,
        published_port -> Nullable<Int4>,
        state -> Text,
        seen_in -> Int8,
        since -> Instant,
        sealed -> Bytea,
        sealed_key_id -> Text,
        node -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    projects (project_id) {
        project_id -> Text,
        last_sequence -> Int8,
        first_sequence -> Int8,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    reconciler_term (node) {
        node -> Text,
        holder -> Nullable<Uuid>,
        epoch -> Int8,
        beat -> Int8,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    service_events (project_id, sequence) {
        project_id -> Text,
        sequence -> Int8,
        service_id -> Uuid,
        previous_state -> Nullable<Text>,
        state -> Text,
        operation -> Nullable<Jsonb>,
        message -> Text,
        actor -> Nullable<Text>,
        occurred_at -> Instant,
        revision -> Nullable<Int8>,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    service_usage (service_id, slot) {
        service_id -> Uuid,
        slot -> Int4,
        minute -> Instant,
        cpu_millis -> Int8,
        memory_bytes -> Int8,
        storage_bytes -> Nullable<Int8>,
        connections -> Nullable<Int8>,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    services (id) {
        id -> Uuid,
        project_id -> Text,
        name -> Text,
        kind -> Text,
        spec -> Jsonb,
        published_port -> Nullable<Int4>,
        desired -> Text,
        generation -> Int8,
        revision -> Int8,
        state -> Text,
        operation -> Nullable<Jsonb>,
        error -> Nullable<Jsonb>,
        evidence -> Jsonb,
        sealed -> Nullable<Bytea>,
        sealed_key_id -> Nullable<Text>,
        idempotency_key -> Nullable<Text>,
        idempotency_fingerprint -> Nullable<Text>,
        created_at -> Instant,
        updated_at -> Instant,
        destroyed_at -> Nullable<Instant>,
        traceparent -> Nullable<Text>,
        instance_id -> Uuid,
        protected -> Bool,
        expires_at -> Nullable<Instant>,
        expiry_told -> Bool,
        backup_policy -> Nullable<Jsonb>,
        backup_due_at -> Nullable<Instant>,
        node -> Text,
        memory_mib -> Int8,
        cpu_millis -> Int8,
        storage_mib -> Int8,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    store_probes (id) {
        id -> Uuid,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Bytea, Int4, Int8, Nullable, Text};
    use crate::store::types::sql::{Instant, Jsonb, Uuid};

    tasks (id) {
        id -> Uuid,
        service_id -> Uuid,
        job -> Text,
        attempts -> Int4,
        not_before -> Nullable<Instant>,
        error -> Nullable<Jsonb>,
        outcome -> Nullable<Text>,
        created_at -> Instant,
        updated_at -> Instant,
        version -> Nullable<Text>,
        backup_id -> Nullable<Uuid>,
        source_id -> Nullable<Uuid>,
        recover_to -> Nullable<Instant>,
    }
}

diesel::joinable!(backups -> projects (project_id));
diesel::joinable!(backups -> services (service_id));
diesel::joinable!(instances -> services (service_id));
diesel::joinable!(log_sections -> services (service_id));
diesel::joinable!(service_events -> projects (project_id));
diesel::joinable!(service_events -> services (service_id));
diesel::joinable!(service_usage -> services (service_id));
diesel::joinable!(services -> projects (project_id));
diesel::joinable!(tasks -> services (service_id));

diesel::allow_tables_to_appear_in_same_query!(
    backups,
    destroyed_counts,
    installation,
    instances,
    log_sections,
    nodes,
    pool_members,
    projects,
    reconciler_term,
    service_events,
    service_usage,
    services,
    store_probes,
    tasks,
);
