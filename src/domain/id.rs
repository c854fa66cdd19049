//! Typed ids, parsed at the border: inside, a malformed one can't exist.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    #[error("a service id is \"svc_\" and 32 lower-case hexadecimal digits")]
    Service,
    #[error("an instance id is \"svc_\" and 32 lower-case hexadecimal digits")]
    Instance,
    #[error("a backup id is \"bkp_\" and 32 lower-case hexadecimal digits")]
    Backup,
    #[error("a build's digest is 64 lower-case hexadecimal digits")]
    Build,
    #[error("a project id is 1 to 63 letters, digits, '.', '_' or '-', and starts and ends with a letter or digit")]
    Project,
    #[error("an idempotency key is 1 to 128 visible ASCII characters")]
    IdempotencyKey,
    #[error("not a cursor of this project's events")]
    Cursor,
}

/// A service's id: a UUID, shown as `svc_` and its 32 hexadecimal digits. Version 7, so ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ServiceId(pub Uuid);

impl ServiceId {
    const PREFIX: &'static str = "svc_";

    /// The last eight hexadecimal digits, which are random: enough to tell services of one name apart.
    pub fn suffix(self) -> String {
        let digits = self.0.simple().to_string();
        digits[24..].to_owned()
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0.simple())
    }
}

impl FromStr for ServiceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        uuid_after(Self::PREFIX, text).map(Self).ok_or(InvalidId::Service)
    }
}

/// The id of what runs a service: one container and one volume, both named by it. Shown like a service's id, for that is
/// what a service's first instance has. Whose it is stands in the store, in the service that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub Uuid);

impl InstanceId {
    /// That of the first instance of `service`, which is named like it, for people who look at the engine.
    pub fn first_of(service: ServiceId) -> Self {
        Self(service.0)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", ServiceId::PREFIX, self.0.simple())
    }
}

impl FromStr for InstanceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        uuid_after(ServiceId::PREFIX, text).map(Self).ok_or(InvalidId::Instance)
    }
}

/// A backup's id: a UUID, shown as `bkp_` and its 32 hexadecimal digits. Version 7, so ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct BackupId(pub Uuid);

impl BackupId {
    const PREFIX: &'static str = "bkp_";
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0.simple())
    }
}

impl FromStr for BackupId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        uuid_after(Self::PREFIX, text).map(Self).ok_or(InvalidId::Backup)
    }
}

/// What a container is made from, as a digest: two of the same digest need not be made anew for each other. It is made
/// without any secret, so that it tells none and stays when a password changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BuildDigest(pub [u8; 32]);

impl fmt::Display for BuildDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for BuildDigest {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let canonical = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let byte = |at: usize| u8::from_str_radix(text.get(at * 2..at * 2 + 2).unwrap_or_default(), 16);
        let bytes: Result<Vec<u8>, _> = (0..32).map(byte).collect();
        let bytes = bytes.ok().filter(|_| canonical).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(InvalidId::Build)
    }
}

/// The UUID whose 32 lower-case hexadecimal digits follow `prefix`, and nothing else.
fn uuid_after(prefix: &str, text: &str) -> Option<Uuid> {
    let digits = text.strip_prefix(prefix)?;
    let canonical = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if canonical { Uuid::try_parse(digits).ok() } else { None }
}

/// The platform's id of a project. It becomes part of a network's name, hence Docker's alphabet for names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ProjectId(String);

impl super::Stored for ProjectId {
    /// A newer version may allow others.
    fn unknown(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl ProjectId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProjectId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bytes = text.as_bytes();
        let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if bytes.len() <= 63 && ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(inner) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::Project)
        }
    }
}

/// Which sidecar's store a container belongs to. Made once a store, carried by every label, so that two
/// installations can share one engine and never touch each other's things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstallationId(pub Uuid);

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

/// A client's own name for one provisioning, so that a retry of the request is not a second service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::IdempotencyKey)
        }
    }
}

/// An event's place in its project's log, as it is shown to clients: 8 hexadecimal digits that stand for the
/// project, then the sequence number in 16. Texts of one project sort as their sequence numbers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor;

impl Cursor {
    /// `sequence` is 0, which stands ahead of the first event, or an event's.
    pub fn encode(project: &ProjectId, sequence: i64) -> String {
        format!("{}{sequence:016x}", Self::tag(project))
    }

    /// Fails on a text that is no cursor, and on a cursor of another project.
    pub fn decode(project: &ProjectId, text: &str) -> Result<i64, InvalidId> {
        let digits = text.strip_prefix(&Self::tag(project)).ok_or(InvalidId::Cursor)?;
        let canonical = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let sequence = i64::from_str_radix(digits, 16).map_err(|_| InvalidId::Cursor)?;
        if canonical && sequence >= 0 { Ok(sequence) } else { Err(InvalidId::Cursor) }
    }

    fn tag(project: &ProjectId) -> String {
        let digest = Sha256::digest(project.as_str().as_bytes());
        digest[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_id_reads_back_and_nothing_else_does() {
        let id = ServiceId(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_dead_beef));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.suffix(), "deadbeef");
        for text in ["", "svc_", "svc_123", &id.0.to_string(), &id.to_string().to_uppercase(), "svc_0199-0000"] {
            assert_eq!(text.parse::<ServiceId>(), Err(InvalidId::Service), "{text}");
        }
    }

    #[test]
    fn a_backup_id_reads_back_and_nothing_else_does() {
        let id = BackupId(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_dead_beef));
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in
            ["", "bkp_", &id.0.to_string(), &id.to_string().to_uppercase(), &id.to_string().replace("bkp", "svc")]
        {
            assert_eq!(text.parse::<BackupId>(), Err(InvalidId::Backup), "{text}");
        }
    }

    #[test]
    fn a_build_digest_reads_back_and_nothing_else_does() {
        let digest = BuildDigest(Sha256::digest(b"build").into());
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for text in ["", "00", &digest.to_string().to_uppercase(), &"+1".repeat(32), &"é".repeat(32)] {
            assert_eq!(text.parse::<BuildDigest>(), Err(InvalidId::Build), "{text}");
        }
    }

    #[test]
    fn a_project_id_keeps_to_the_alphabet_of_network_names() {
        for text in ["demo", "a", "Team.x_y-1", &"a".repeat(63)] {
            assert!(text.parse::<ProjectId>().is_ok(), "{text}");
        }
        for text in ["", "-a", "a-", "a/b", "a b", "é", "*", &"a".repeat(64)] {
            assert!(text.parse::<ProjectId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_cursor_sorts_as_its_sequence_and_belongs_to_one_project() {
        let (demo, other): (ProjectId, ProjectId) = ("demo".parse().unwrap(), "other".parse().unwrap());
        let (low, high) = (Cursor::encode(&demo, 9), Cursor::encode(&demo, 10));
        assert!(low < high);
        assert_eq!(Cursor::decode(&demo, &high), Ok(10));
        assert!(Cursor::decode(&other, &high).is_err());
        for text in ["", "x", &high[..20], &high.to_uppercase(), &format!("{high}0")] {
            assert!(Cursor::decode(&demo, text).is_err(), "{text}");
        }
    }
}
