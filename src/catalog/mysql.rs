//! MySQL: announced, not yet available.

use super::Definition;
use crate::domain::service::ServiceKind;

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Mysql,
    name: "MySQL",
    description: "Relational database, widely used by web applications.",
    image: "mysql",
    credential_keys: &["DATABASE_URL", "MYSQL_HOST", "MYSQL_PORT", "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_DATABASE"],
    offer: None,
};
