//! Which passwords a modelled server takes: what it was told in the words of PostgreSQL or Redis, read as they would.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use project_services::catalog::deployment::File;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The files in a volume, and the user's verifier in the database.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    files: HashMap<String, String>,
    verifier: Option<String>,
}

impl Kept {
    pub fn upload(&mut self, files: &[File]) {
        let text = |file: &File| String::from_utf8(file.content.to_vec()).unwrap();
        self.files.extend(files.iter().map(|file| (file.path.to_owned(), text(file))));
    }

    /// The first start of PostgreSQL, which makes the user by a script.
    pub fn initialise(&mut self) {
        let script = self.files.get("create-user.sh");
        let role = script.and_then(|script| script.lines().find(|line| line.starts_with("CREATE ROLE ")));
        self.verifier = role.and_then(|role| role.split('\'').nth(1)).map(str::to_owned);
    }

    /// What Redis takes when it starts with these files.
    pub fn digests(&self) -> Vec<String> {
        self.files.get(".service/redis.conf").map_or_else(Vec::new, |text| digests(text, "user default "))
    }

    /// What is done with a change ahead of the server: Redis gets another file.
    pub fn prepare(&mut self, input: &SecretString) {
        if let Some((configuration, _)) = input.expose_secret().split_once("\n.\n") {
            self.files.insert(".service/redis.conf".to_owned(), configuration.to_owned());
        }
    }

    /// The memory for data that Redis starts with.
    pub fn maxmemory(&self) -> Option<String> {
        let text = self.files.get(".service/redis.conf")?;
        text.lines().find_map(|line| line.strip_prefix("maxmemory ")).map(str::to_owned)
    }

    /// The memory that a change of the size tells the server to go by; None where it is none, or the server lets nobody in.
    pub fn resize(&self, input: &SecretString, live: &[String]) -> Option<String> {
        let (_, commands) = input.expose_secret().split_once("\n.\n")?;
        let login = commands.lines().find_map(|line| line.strip_prefix("AUTH "))?;
        let told = commands.lines().find_map(|line| line.strip_prefix("CONFIG SET maxmemory "))?;
        live.contains(&digest(login)).then(|| told.to_owned())
    }

    /// Tells the server, which takes `live` in the case of Redis. False where it refuses.
    pub fn take(&mut self, input: &SecretString, live: &mut Vec<String>) -> bool {
        let input = input.expose_secret();
        if let Some((_, commands)) = input.split_once("\n.\n") {
            let login = commands.lines().find_map(|line| line.strip_prefix("AUTH ")).unwrap();
            if !live.contains(&digest(login)) {
                return false;
            }
            *live = digests(commands, "ACL SETUSER default ");
        } else {
            let quoted = input.lines().find(|line| line.starts_with("ALTER ROLE")).unwrap();
            self.verifier = quoted.split('\'').nth(1).map(str::to_owned);
        }
        true
    }

    /// Whether the role has this password (RFC 5802, section 3; PostgreSQL's form of it is in its manual, `pg_authid`).
    pub fn is_verified(&self, password: &str) -> bool {
        let verifier = self.verifier.as_deref().unwrap();
        let [_, rounds, stored] = verifier.split('$').collect::<Vec<_>>().try_into().unwrap();
        let (rounds, salt) = rounds.split_once(':').unwrap();
        let salt = [STANDARD.decode(salt).unwrap(), vec![0, 0, 0, 1]].concat();
        let mut block = hmac(password, &salt);
        let mut salted = block;
        for _ in 1..rounds.parse().unwrap() {
            block = hmac(password, &block);
            salted.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
        }
        let key = Sha256::digest(hmac(salted, b"Client Key"));
        STANDARD.decode(stored.split(':').next().unwrap()).unwrap() == key.as_slice()
    }
}

pub fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digests(text: &str, user: &str) -> Vec<String> {
    let line = text.lines().find(|line| line.starts_with(user)).unwrap();
    line.split(' ').filter_map(|word| word.strip_prefix('#')).map(str::to_owned).collect()
}

/// HMAC-SHA-256 with a key of at most a block.
fn hmac(key: impl AsRef<[u8]>, text: &[u8]) -> [u8; 32] {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(key.as_ref()).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}
