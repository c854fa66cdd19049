//! The binary's commands, as an operator meets them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::server::binary;

#[test]
fn without_keys_the_server_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(binary())
        .args(["serve", "--data-dir", directory.path().to_str().unwrap()])
        .env_remove("JWT_SECRET")
        .env_remove("ENCRYPTION_KEYS")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("JWT_SECRET and ENCRYPTION_KEYS must be set"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn with_two_sources_of_keys_the_server_does_not_choose() {
    let serve = |settings: &[(&str, &str)]| {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary());
        command.args(["serve", "--dev", "--data-dir", directory.path().to_str().unwrap()]);
        let output = command.env_remove("JWT_SECRET").envs(settings.iter().copied()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let secret = ("JWT_SECRET", "a secret that is long enough for HS256");
    let url = ("JWKS_URL", "https://issuer.example/jwks.json");
    for (settings, expected) in [
        (vec![secret, url], "Only one of JWT_SECRET, JWKS_URL can be set"),
        (vec![url, ("JWKS_FILE", "a")], "Only one of JWKS_URL, JWKS_FILE can be set"),
        (vec![secret, ("JWT_ALGORITHMS", "RS256")], "JWT_ALGORITHMS is for public keys"),
        (vec![url, ("JWT_ALGORITHMS", "HS256")], "JWT_ALGORITHMS has \"HS256\""),
        (vec![("JWKS_URL", "http://issuer.example/jwks.json")], "JWKS_URL can't be used: it has to be https://"),
        (vec![("JWT_PUBLIC_KEY_FILE", "/dev/null")], "/dev/null can't be used: it is not one public key in PEM"),
        (vec![secret, ("JWT_PROJECTS_CLAIM", "a..b")], "JWT_PROJECTS_CLAIM can't be used"),
    ] {
        let error = serve(&settings);
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_development_server_makes_its_keys_and_prints_a_token_that_works() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut process = Command::new(binary())
        .args(["serve", "--dev", "--listen-address", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()])
        .env_remove("JWT_SECRET")
        .env_remove("ENCRYPTION_KEYS")
        .env("WARM_POOL", "")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut printed = |label: &str| {
        let line = lines.next().unwrap();
        line.strip_prefix(label).unwrap_or_else(|| panic!("{line}")).trim().to_owned()
    };
    let (dashboard, address, token) = (printed("Dashboard:"), printed("GraphiQL:"), printed("Token:"));
    assert_eq!(address, format!("{dashboard}graphql"));

    let client = reqwest::Client::new();
    let post = async |authorization: &str| -> Value {
        let request = client.post(&address).header("authorization", authorization);
        let query = json!({"query": "{ viewer { subject projects permissions } }"});
        request.json(&query).send().await.unwrap().json().await.unwrap()
    };
    let printed = post(&format!("Bearer {token}")).await;
    let expected = json!({"subject": "developer", "projects": ["demo"], "permissions": ["project:settings", "project:delete", "platform:nodes"]});
    assert_eq!(printed["data"]["viewer"], expected);

    for (projects, shown) in
        [(&["other"][..], json!(["other"])), (&["*"], json!(["*"])), (&["a", "b"], json!(["a", "b"]))]
    {
        let token = Command::new(binary())
            .args(["token", "--permission", "project:settings", "--data-dir", data.to_str().unwrap()])
            .args(projects.iter().flat_map(|project| ["--project", project]))
            .env_remove("JWT_SECRET")
            .output()
            .unwrap();
        let made = post(&format!("Bearer {}", String::from_utf8(token.stdout).unwrap().trim())).await;
        assert_eq!(made["data"]["viewer"]["projects"], shown);
        assert_eq!(made["data"]["viewer"]["permissions"], json!(["project:settings"]));
    }

    for file in ["jwt.secret", "encryption.keys", "project-services.db"] {
        let mode = fs::metadata(data.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} is readable by its owner only");
    }
    process.kill().unwrap();
    process.wait().unwrap();
}
