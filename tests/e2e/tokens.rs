//! Tokens of an issuer that publishes its keys over HTTPS.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::server::Server;

/// `openssl s_server` over a directory; killed when dropped.
struct Issuer(Child);

impl Issuer {
    fn start(port: u16, directory: &Path) -> Self {
        let server = Command::new("openssl")
            .args(["s_server", "-WWW", "-cert", "issuer.crt", "-key", "issuer.key", "-accept", &port.to_string()])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(File::create(directory.join("issuer.log")).unwrap())
            .stderr(Stdio::null())
            .spawn();
        Self(server.unwrap())
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A certificate for localhost that is its own authority, in `issuer.crt` and `issuer.key`.
fn certify(directory: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-sha256",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "issuer.key", "-out", "issuer.crt"])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

async fn keys(server: &Server) -> (u16, Value) {
    let response = reqwest::get(format!("http://{}/readyz", server.address)).await.unwrap();
    let status = response.status().as_u16();
    (status, response.json::<Value>().await.unwrap()["keys"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_an_issuer_are_fetched_over_tls_as_soon_as_it_is_there() {
    let directory = tempfile::tempdir().unwrap();
    certify(directory.path());
    let pem = fs::read(format!("{}/tests/keys/p256.pem", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let key = EncodingKey::from_ec_pem(&pem).unwrap();
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("a".to_owned());
    fs::write(directory.path().join("jwks.json"), json!({"keys": [jwk]}).to_string()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let certificate = directory.path().join("issuer.crt");

    let mut server = Server::start(&[
        ("JWT_SECRET", ""),
        ("JWKS_URL", &format!("https://localhost:{port}/jwks.json")),
        ("JWT_PERMISSIONS_CLAIM", "scope"),
        ("SSL_CERT_FILE", certificate.to_str().unwrap()),
    ])
    .await;
    let claims = json!({
        "sub": "ada", "exp": jiff::Timestamp::now().as_second() + 3600,
        "projects": [server.project], "scope": "openid project:settings",
    });
    let token = encode(&Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::ES256) }, &claims, &key).unwrap();
    let viewer = async |server: &Server| -> Value {
        let request = reqwest::Client::new().post(format!("http://{}/graphql", server.address)).bearer_auth(&token);
        let query = json!({"query": "{ viewer { subject permissions } }"});
        request.json(&query).send().await.unwrap().json().await.unwrap()
    };
    let missing = "the keys that tokens are verified with could not be loaded";
    assert_eq!(keys(&server).await, (503, json!(format!("unavailable: {missing}"))));
    let refused = viewer(&server).await;
    assert_eq!(refused["errors"][0]["message"], format!("Not authenticated: {missing}."));
    let told = server.command(&["token", "--project", "demo"]);
    assert!(!told.status.success() && String::from_utf8_lossy(&told.stderr).contains("JWT_SECRET (HS256) only"));

    let issuer = Issuer::start(port, directory.path());
    eventually("the keys", async || (keys(&server).await == (200, json!("ok"))).then_some(())).await;
    let expected = json!({"subject": "ada", "permissions": ["openid", "project:settings"]});
    assert_eq!(viewer(&server).await["data"]["viewer"], expected);
    drop(issuer);
    assert_eq!(viewer(&server).await["data"]["viewer"], expected, "the keys are kept");

    // An issuer whose certificate nobody vouches for is none.
    let _issuer = Issuer::start(port, directory.path());
    server.set("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
    server.restart().await;
    eventually("the refusal", async || server.log().contains("UnknownIssuer").then_some(())).await;
    assert_eq!(keys(&server).await.0, 503);
}
