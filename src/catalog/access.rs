//! Who may connect to a service, and with what.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Random bytes from the system's generator, which a new service's user, database and password are made of.
pub struct Seed(pub [u8; Self::LENGTH]);

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Seed {
    pub const LENGTH: usize = 40;

    /// Fails where the system gives no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut seed = Self([0; Self::LENGTH]);
        getrandom::fill(&mut seed.0)?;
        Ok(seed)
    }
}

/// A service's generated user, database and password.
#[derive(Debug, Clone)]
pub struct Access {
    /// None where the kind has no users.
    pub username: Option<String>,
    /// None where the kind has no databases.
    pub database: Option<String>,
    /// 40 lower-case letters and digits, 200 bits: nothing in it needs escaping in a URL or a shell.
    pub password: SecretString,
    /// The password to be, while it is being changed: from here on the server inside may take either.
    pub next: Option<SecretString>,
    /// What the health check logs in with, where it has to. It outlives the password, for it stands in a file that can't
    /// change at the same moment as what the server inside takes.
    pub probe: SecretString,
}

/// What is shown in a password's place; its length tells nothing.
pub const MASK: &str = "••••••••";

/// The longest JSON form of an access, generously: what grows leaves copies behind that nobody overwrites.
const LONGEST: usize = 1024;

#[derive(Serialize, Deserialize)]
struct Clear {
    username: Option<String>,
    database: Option<String>,
    password: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Zeroizing<String>>,
    /// None in what was sealed before passwords could change.
    #[serde(default)]
    probe: Option<Zeroizing<String>>,
}

impl Access {
    /// An access with a user and a database of its own.
    pub fn with_database(seed: &Seed) -> Self {
        Self {
            username: Some(format!("user_{}", base32(&seed.0[..5]).as_str())),
            database: Some(format!("db_{}", base32(&seed.0[5..10]).as_str())),
            ..Self::with_password(seed)
        }
    }

    /// An access with a user of its own.
    pub fn with_user(seed: &Seed) -> Self {
        Self { database: None, ..Self::with_database(seed) }
    }

    /// An access with a key of its own, whose secret is the password, and a bucket, in whose name no underscore may be.
    pub fn with_bucket(seed: &Seed) -> Self {
        Self {
            username: Some(base32(&seed.0[..10]).to_uppercase()),
            database: Some(format!("bucket-{}", base32(&seed.0[5..10]).as_str())),
            ..Self::with_password(seed)
        }
    }

    /// An access by password alone.
    pub fn with_password(seed: &Seed) -> Self {
        let password = new_password(seed);
        let probe = probe(&password);
        Self { username: None, database: None, password, next: None, probe }
    }

    /// The same with a password to be; one that is waiting already stays, for the server inside may have taken it.
    pub fn with_next(self, seed: &Seed) -> Self {
        let next = self.next.or_else(|| Some(new_password(seed)));
        Self { next, ..self }
    }

    /// The same with the password to be in the place of the password; None when nothing waits.
    pub fn promoted(&self) -> Option<Self> {
        let password = self.next.clone()?;
        Some(Self { password, next: None, ..self.clone() })
    }

    /// The same with the mask in the place of every secret.
    pub fn masked(&self) -> Self {
        let mask = SecretString::from(MASK);
        Self { password: mask.clone(), next: None, probe: mask, ..self.clone() }
    }

    /// The passwords that the server inside should take, the newest last.
    pub fn passwords(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.password).chain(&self.next).map(|password| password.expose_secret())
    }

    /// The password of a user of ours for `purpose`, which outlives the passwords as the health check's does.
    pub(super) fn password_for(&self, purpose: &str) -> SecretString {
        let digest = Sha256::new().chain_update(purpose).chain_update(" by ").chain_update(self.probe.expose_secret());
        SecretString::from(hex(&digest.finalize()).as_str())
    }

    /// The password of the sidecar's own role, where a server has one.
    pub(super) fn own_password(&self) -> SecretString {
        self.password_for("the sidecar's own role")
    }

    /// The password of the user who reads for the SQL console, where it needs one.
    pub(super) fn reader_password(&self) -> SecretString {
        self.password_for("the reader of the SQL console")
    }

    /// `text` without the passwords, and without quoted values in lines that speak of a password.
    pub fn redact(&self, text: &str) -> String {
        let own = self.own_password();
        let line = |line: &str| {
            let secrets = self.passwords().chain([self.probe.expose_secret(), own.expose_secret()]);
            let line = secrets.fold(line.to_owned(), |line, secret| line.replace(secret, "[redacted]"));
            if !line.to_lowercase().contains("password") {
                return line;
            }
            let parts = line.split('\'').enumerate();
            parts.map(|(n, part)| if n % 2 == 1 { "[redacted]" } else { part }).collect::<Vec<_>>().join("'")
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The bytes that are sealed.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let plain = |secret: &SecretString| Zeroizing::new(secret.expose_secret().to_owned());
        let clear = Clear {
            username: self.username.clone(),
            database: self.database.clone(),
            password: plain(&self.password),
            next: self.next.as_ref().map(plain),
            probe: Some(plain(&self.probe)),
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
        // Strings always have a JSON form, and a vector takes all that is written to it.
        let _ = serde_json::to_writer(&mut *bytes, &clear);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let clear: Clear = serde_json::from_slice(bytes)?;
        let secret = |text: &Zeroizing<String>| SecretString::from(text.as_str());
        let password = secret(&clear.password);
        Ok(Self {
            username: clear.username,
            database: clear.database,
            next: clear.next.as_ref().map(secret),
            probe: clear.probe.as_ref().map_or_else(|| probe(&password), secret),
            password,
        })
    }
}

fn new_password(seed: &Seed) -> SecretString {
    SecretString::from(base32(&seed.0[15..]).as_str())
}

/// What the health check of a service logs in with whose first password this is.
fn probe(password: &SecretString) -> SecretString {
    let digest = Sha256::new().chain_update("health check of ").chain_update(password.expose_secret()).finalize();
    SecretString::from(hex(&digest).as_str())
}

/// SHA-256 in hexadecimal digits.
pub(super) fn digest(text: &str) -> Zeroizing<String> {
    hex(&Sha256::digest(text))
}

pub(super) fn hex(bytes: &[u8]) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// RFC 4648's base 32 in lower case; whole groups of five bytes only, so that there is no padding.
fn base32(bytes: &[u8]) -> Zeroizing<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() / 5 * 8));
    for group in bytes.chunks_exact(5) {
        let bits = group.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for shift in (0..8).rev() {
            text.push(char::from(ALPHABET[(bits >> (shift * 5) & 31) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_is_generated_url_safe_and_reads_back() {
        let access = Access::with_database(&Seed(std::array::from_fn(|i| i as u8 * 6 + 1)));
        let password = access.password.expose_secret();
        assert!(password.len() >= 32 && password.bytes().all(|b| b.is_ascii_alphanumeric()));
        let again = Access::from_bytes(&access.to_bytes()).unwrap();
        assert_eq!(again.password.expose_secret(), password);
        assert_eq!((again.username, again.database), (access.username, access.database));
    }

    #[test]
    fn a_password_to_be_waits_until_it_takes_the_password_s_place() {
        let seed = |byte| Seed([byte; Seed::LENGTH]);
        let before = Access::with_database(&seed(3));
        assert!(before.promoted().is_none());
        let pending = Access::from_bytes(&before.clone().with_next(&seed(4)).to_bytes()).unwrap();
        let passwords: Vec<_> = pending.passwords().map(str::to_owned).collect();
        assert_eq!(passwords[0], before.password.expose_secret());
        assert_ne!(passwords[0], passwords[1]);
        let again = pending.clone().with_next(&seed(5));
        assert!(again.passwords().eq(pending.passwords()), "what waits is not replaced");
        let after = pending.promoted().unwrap();
        assert!(after.passwords().eq([&passwords[1]]));
        assert_eq!((&after.username, &after.database), (&before.username, &before.database));
        assert_eq!(after.probe.expose_secret(), before.probe.expose_secret());
        for password in passwords {
            assert_eq!(pending.redact(&password), "[redacted]");
            assert!(!format!("{pending:?}").contains(&password));
        }
        let own = pending.own_password();
        assert_eq!(pending.redact(own.expose_secret()), "[redacted]");
        assert_eq!(own.expose_secret(), before.own_password().expose_secret(), "it outlives the others");
    }

    #[test]
    fn what_was_sealed_before_passwords_could_change_reads_back() {
        let access = Access::with_password(&Seed([3; Seed::LENGTH]));
        let password = access.password.expose_secret();
        let old = format!(r#"{{"username":null,"database":null,"password":"{password}"}}"#);
        let read = Access::from_bytes(old.as_bytes()).unwrap();
        assert!(read.next.is_none());
        assert_eq!(read.probe.expose_secret(), access.probe.expose_secret());
    }

    #[test]
    fn no_access_outgrows_the_memory_that_is_overwritten() {
        let access = Access::with_database(&Seed([3; Seed::LENGTH])).with_next(&Seed([4; Seed::LENGTH]));
        assert_eq!(access.to_bytes().capacity(), LONGEST);
    }

    #[test]
    fn redaction_leaves_no_password_in_a_text() {
        let access = Access::with_password(&Seed([3; Seed::LENGTH]));
        let password = access.password.expose_secret();
        let text = format!("AUTH {password}\nSTATEMENT: alter role x password 'hunter2' valid until '2030'\nok 'x'");
        assert_eq!(
            access.redact(&text),
            "AUTH [redacted]\nSTATEMENT: alter role x password '[redacted]' valid until '[redacted]'\nok 'x'"
        );
    }

    #[test]
    fn base32_is_the_one_of_the_rfc() {
        assert_eq!(base32(b"fooba").as_str(), "mzxw6ytb");
    }

    #[test]
    fn debug_output_does_not_tell_the_password() {
        let access = Access::with_password(&Seed([3; Seed::LENGTH]));
        assert!(!format!("{access:?}").contains(access.password.expose_secret()));
    }
}
