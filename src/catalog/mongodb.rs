//! MongoDB: announced, not yet available.

use super::Definition;
use crate::domain::service::ServiceKind;

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Mongodb,
    name: "MongoDB",
    description: "Document database for JSON-like records.",
    image: "mongo",
    credential_keys: &[
        "MONGODB_URL",
        "MONGODB_HOST",
        "MONGODB_PORT",
        "MONGODB_USER",
        "MONGODB_PASSWORD",
        "MONGODB_DATABASE",
    ],
    offer: None,
    is_announced: true,
};
