//! Qdrant: announced, not yet available.

use super::Definition;
use crate::domain::service::ServiceKind;

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Qdrant,
    name: "Qdrant",
    description: "Vector database for similarity search over embeddings.",
    image: "qdrant/qdrant",
    credential_keys: &["QDRANT_URL", "QDRANT_HOST", "QDRANT_PORT", "QDRANT_API_KEY"],
    offer: None,
    is_announced: true,
};
