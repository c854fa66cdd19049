//! MinIO: announced, not yet available.

use super::Definition;
use crate::domain::service::ServiceKind;

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Minio,
    name: "MinIO",
    description: "Object storage with an S3-compatible API.",
    image: "minio/minio",
    credential_keys: &["S3_ENDPOINT", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "S3_BUCKET", "S3_REGION"],
    offer: None,
    is_announced: true,
};
