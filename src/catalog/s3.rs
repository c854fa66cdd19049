//! What servers of S3's protocol have in common: credentials, and requests that are signed as S3's clients do (AWS documentation, "Signature Version 4").

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::access::{Access, digest, hex};
use super::{Credential, credential, http};

/// There is but one region.
pub(super) const REGION: &str = "us-east-1";

pub(super) fn credentials(access: &Access, host: &str, port: u16) -> Vec<Credential> {
    let (key, bucket) = names(access);
    vec![
        credential("AWS_ENDPOINT_URL_S3", format!("http://{host}:{port}")),
        credential("AWS_ACCESS_KEY_ID", key),
        credential("AWS_SECRET_ACCESS_KEY", access.password.expose_secret()),
        credential("AWS_REGION", REGION),
        credential("S3_BUCKET", bucket),
    ]
}

/// The key and the bucket.
pub(super) fn names(access: &Access) -> (&str, &str) {
    (access.username.as_deref().unwrap_or("app"), access.database.as_deref().unwrap_or("app"))
}

/// What asks the server on `port` for what the bucket holds, with `secret`, as [`http::ASK`] sends it. A signature is for the
/// moment at which it is made.
pub(super) fn request(access: &Access, secret: &str, port: u16) -> Zeroizing<String> {
    let (key, bucket) = names(access);
    let (host, path) = (format!("127.0.0.1:{port}"), format!("/{bucket}/"));
    http::request(&Request { host: &host, path: &path, region: REGION }.head(key, secret, Timestamp::now()))
}

/// A GET without a body.
struct Request<'a> {
    host: &'a str,
    /// Nothing in it needs escaping.
    path: &'a str,
    region: &'a str,
}

impl Request<'_> {
    /// All that is sent, signed for about `now`.
    fn head(&self, key: &str, secret: &str, now: Timestamp) -> Zeroizing<String> {
        const BODY: &str = "UNSIGNED-PAYLOAD";
        const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date";
        let Self { host, path, region } = self;
        let (time, date) = (now.strftime("%Y%m%dT%H%M%SZ").to_string(), now.strftime("%Y%m%d").to_string());
        let canonical =
            format!("GET\n{path}\n\nhost:{host}\nx-amz-content-sha256:{BODY}\nx-amz-date:{time}\n\n{SIGNED}\n{BODY}");
        let scope = format!("{date}/{region}/s3/aws4_request");
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", digest(&canonical).as_str());
        let first = Zeroizing::new(["AWS4", secret].concat());
        let parts = [date.as_str(), region, "s3", "aws4_request", &to_sign];
        let signature =
            parts.iter().fold(Zeroizing::new(first.as_bytes().to_vec()), |key, part| keyed(&key, part.as_bytes()));
        Zeroizing::new(format!(
            "GET {path} HTTP/1.0\r\nHost: {host}\r\nX-Amz-Date: {time}\r\nX-Amz-Content-Sha256: {BODY}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={SIGNED}, Signature={}\r\n\r\n",
            hex(&signature).as_str()
        ))
    }
}

fn keyed(key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
    // A key of any length will do.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else { return Zeroizing::default() };
    Zeroizing::new(mac.chain_update(text).finalize().into_bytes().to_vec())
}
