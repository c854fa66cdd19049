//! Who may connect to a service, and with what.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Random bytes from the system's generator, which a new service's user, database and password are made of.
pub struct Seed(pub [u8; Self::LENGTH]);

impl Seed {
    pub const LENGTH: usize = 40;
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
}

#[derive(Serialize, Deserialize)]
struct Clear {
    username: Option<String>,
    database: Option<String>,
    password: Zeroizing<String>,
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

    /// An access by password alone.
    pub fn with_password(seed: &Seed) -> Self {
        let password = base32(&seed.0[15..]);
        Self { username: None, database: None, password: SecretString::from(password.as_str()) }
    }

    /// `text` without the password, and without quoted values in lines that speak of a password.
    pub fn redact(&self, text: &str) -> String {
        let line = |line: &str| {
            let line = line.replace(self.password.expose_secret(), "[redacted]");
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
        let clear = Clear {
            username: self.username.clone(),
            database: self.database.clone(),
            password: Zeroizing::new(self.password.expose_secret().to_owned()),
        };
        // Three strings always have a JSON form.
        Zeroizing::new(serde_json::to_vec(&clear).unwrap_or_default())
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let clear: Clear = serde_json::from_slice(bytes)?;
        Ok(Self {
            username: clear.username,
            database: clear.database,
            password: SecretString::from(clear.password.as_str()),
        })
    }
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
