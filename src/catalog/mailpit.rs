//! Mailpit: announced, not yet available.

use super::Definition;
use crate::domain::service::ServiceKind;

pub static DEFINITION: Definition = Definition {
    kind: ServiceKind::Mailpit,
    name: "Mailpit",
    description: "Mail catcher: takes what an application sends and shows it in a web inbox.",
    image: "axllent/mailpit",
    credential_keys: &["SMTP_URL", "SMTP_HOST", "SMTP_PORT", "SMTP_USER", "SMTP_PASSWORD", "MAILPIT_WEB_URL"],
    offer: None,
};
