//! What a MySQL server stores of a password, so that the password itself need not be told.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::catalog::access::digest;

/// As many characters as the server's format has (MySQL source, `caching_sha2_password`, SALT_LENGTH).
const SALT: usize = 20;
/// In thousands, which the format tells; the server's own default.
const ROUNDS: usize = 5;

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The bytes that `caching_sha2_password` stores of `password`, in hexadecimal digits, for `IDENTIFIED WITH … AS 0x…`. Its salt
/// follows from the password, which nobody else has.
pub(super) fn verifier(password: &str) -> Zeroizing<String> {
    let salt = digest(&["salt of ", password].concat());
    let salt = &salt.as_bytes()[..SALT];
    let crypt = sha256_crypt(password.as_bytes(), salt, ROUNDS * 1000);
    let text = Zeroizing::new([format!("$A${ROUNDS:03}$").as_bytes(), salt, &crypt].concat());
    Zeroizing::new(text.iter().map(|byte| format!("{byte:02X}")).collect())
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize().into()
}

fn repeated(block: &[u8; 32], length: usize) -> Vec<u8> {
    block.iter().copied().cycle().take(length).collect()
}

/// Unix crypt with SHA-256 (U. Drepper, "Unix crypt using SHA-256 and SHA-512", 2007), but with a salt of any length: the
/// libraries that there are take 16 characters at most.
fn sha256_crypt(password: &[u8], salt: &[u8], rounds: usize) -> Vec<u8> {
    let alternate = sha256(&[password, salt, password]);
    let filled = repeated(&alternate, password.len());
    let mut parts = vec![password, salt, &filled];
    let mut bits = password.len();
    while bits > 0 {
        parts.push(if bits & 1 == 1 { &alternate } else { password });
        bits >>= 1;
    }
    let mut sum = sha256(&parts);
    let p = Zeroizing::new(repeated(&sha256(&vec![password; password.len()]), password.len()));
    let s = repeated(&sha256(&vec![salt; 16 + usize::from(sum[0])]), salt.len());
    for round in 0..rounds {
        let (first, last): (&[u8], &[u8]) = if round % 2 == 1 { (&p, &sum) } else { (&sum, &p) };
        let by_three: &[u8] = if round % 3 == 0 { &[] } else { &s };
        let by_seven: &[u8] = if round % 7 == 0 { &[] } else { &p };
        sum = sha256(&[first, by_three, by_seven, last]);
    }
    encoded(&sum)
}

/// Three bytes, which are not beside each other, make four characters, from the lowest bits on; two are left.
fn encoded(sum: &[u8; 32]) -> Vec<u8> {
    let mut text = Vec::with_capacity(43);
    let mut put = |bytes: [u8; 3], characters: usize| {
        let bits = bytes.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        text.extend((0..characters).map(|n| ALPHABET[(bits >> (6 * n) & 63) as usize]));
    };
    let (mut a, mut b, mut c) = (0, 10, 20);
    for _ in 0..10 {
        put([sum[a], sum[b], sum[c]], 4);
        (a, b, c) = (c + 1, a + 1, b + 1);
    }
    put([0, sum[31], sum[30]], 3);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_others_make_of_the_same() {
        let crypt = |password: &str, salt: &str| {
            String::from_utf8(sha256_crypt(password.as_bytes(), salt.as_bytes(), 5000)).unwrap()
        };
        // From Drepper's paper.
        assert_eq!(crypt("Hello world!", "saltstring"), "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5");
        // MySQL 9.7.4 has let this one in.
        assert_eq!(crypt("secretpw", "abcdefghijklmnopqrst"), "vA/c.moVwMiTZQ4s5dD0qqiWGmHaiSLVYSYh0OGIta1");
    }

    #[test]
    fn it_has_the_server_s_format() {
        let verifier = verifier("secret");
        assert_eq!(verifier.len(), 2 * (7 + SALT + 43));
        assert!(verifier.starts_with("24412430303524"), "$A$005$");
    }
}
