//! Keys that an issuer publishes: which of them are used, when they are read, and what happens while they can't be.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use futures_util::future::join_all;
use project_services::auth::{AuthError, JwksUrl, Location, Pace, Verifier};
use project_services::http::SocketLimits;
use serde_json::{Value, json};

use crate::harness::{READY, Server, Socket, code, eventually};
use crate::issuer::{Answer, EC, ED, Issuer, OTHER_RSA, PACE, PSS, Pair, RSA, file, set, with_set};

async fn outcome(verifier: &Verifier, token: &str) -> Result<(), AuthError> {
    verifier.verify(token).await.map(|_| ())
}

/// Tries until `expected` comes out.
async fn until(verifier: &Verifier, token: &str, expected: Result<(), AuthError>) {
    eventually(&format!("{expected:?}"), async || (outcome(verifier, token).await == expected).then_some(())).await;
}

/// Waits until the issuer was asked `count` times.
async fn asked(issuer: &Issuer, count: usize) {
    eventually("the issuer to be asked", async || (issuer.asked() >= count).then_some(())).await;
}

#[tokio::test]
async fn each_key_of_a_set_verifies_what_it_is_for() {
    let with = |pair: Pair, kid: &str, name: &str, value: Value| {
        let mut jwk = pair.jwk(kid);
        jwk[name] = value;
        jwk
    };
    let short = json!({"kty": "OKP", "crv": "Ed25519", "kid": "short", "x": "AAAA"});
    let weak = with(RSA, "weak", "n", json!("AQAB"));
    let uneven = with(EC, "uneven", "x", json!("AA"));
    let issuer = Issuer::start(&[
        json!("no object"),
        json!({}),
        json!({"kty": "RSA", "kid": "no-parts"}),
        json!({"kty": "unheard of", "kid": "strange"}),
        json!({"kty": "RSA", "kid": 7, "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "EC", "crv": "P-384", "kid": "p384", "x": "AA", "y": "AA"}),
        json!({"kty": "oct", "kid": "secret", "k": "AA", "alg": "HS256"}),
        short,
        weak,
        uneven,
        RSA.jwk("rsa"),
        with(RSA, "rs256", "alg", json!("RS256")),
        with(RSA, "ps256", "alg", json!("PS256")),
        with(RSA, "rs512", "alg", json!("RS512")),
        with(RSA, "oaep", "alg", json!("RSA-OAEP")),
        with(RSA, "sig", "use", json!("sig")),
        with(RSA, "enc", "use", json!("enc")),
        with(RSA, "verify", "key_ops", json!(["verify"])),
        with(RSA, "sign", "key_ops", json!(["sign"])),
        with(RSA, "private", "d", json!("AQAB")),
        EC.jwk("ec"),
        ED.jwk("ed"),
    ])
    .await;
    let verifier = issuer.verifier(Pace { pause: Duration::from_secs(60), ..PACE });
    for (pair, kid, expected) in [
        (RSA, "rsa", Ok(())),
        (PSS, "rsa", Ok(())),
        (RSA, "rs256", Ok(())),
        (PSS, "rs256", Err(AuthError::Invalid)),
        (PSS, "ps256", Ok(())),
        (RSA, "ps256", Err(AuthError::Invalid)),
        (RSA, "sig", Ok(())),
        (RSA, "verify", Ok(())),
        (EC, "ec", Ok(())),
        (ED, "ed", Ok(())),
        (OTHER_RSA, "rsa", Err(AuthError::Invalid)),
        (RSA, "ec", Err(AuthError::Invalid)),
        (EC, "rsa", Err(AuthError::Invalid)),
        (ED, "ec", Err(AuthError::Invalid)),
    ] {
        assert_eq!(outcome(&verifier, &pair.token(kid)).await, expected, "{pair:?} as {kid}");
    }
    let aside = ["rs512", "oaep", "enc", "sign", "private", "weak", "no-parts", "7"].map(|kid| RSA.token(kid));
    let aside = aside.into_iter().chain([ED.token("short"), EC.token("uneven"), EC.token("p384")]);
    for token in aside {
        assert_eq!(outcome(&verifier, &token).await, Err(AuthError::UnknownKey));
    }
    // Without an id a token is verified only if that leaves no choice.
    assert_eq!(outcome(&verifier, &EC.token("")).await, Ok(()));
    assert_eq!(outcome(&verifier, &ED.token("")).await, Ok(()));
    assert_eq!(outcome(&verifier, &RSA.token("")).await, Err(AuthError::Invalid));
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn keys_without_an_id_and_keys_with_the_same_one() {
    let issuer =
        Issuer::start(&[RSA.jwk(""), EC.jwk("same"), ED.jwk("same"), OTHER_RSA.jwk("twice"), RSA.jwk("twice")]).await;
    let verifier = issuer.verifier(PACE);
    assert_eq!(outcome(&verifier, &EC.token("same")).await, Ok(()));
    assert_eq!(outcome(&verifier, &ED.token("same")).await, Ok(()));
    assert_eq!(outcome(&verifier, &RSA.token("twice")).await, Err(AuthError::Invalid));
    assert_eq!(outcome(&verifier, &RSA.token("an id")).await, Err(AuthError::UnknownKey));
    issuer.publish(&[RSA.jwk("")]);
    until(&verifier, &RSA.token("another"), Err(AuthError::UnknownKey)).await;
    until(&verifier, &RSA.token(""), Ok(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keys_have_the_set_read_once_in_a_while_and_nobody_else_waits() {
    let (known, forged) = (RSA.token("a"), OTHER_RSA.token("b"));
    let rest = forged.split_once('.').unwrap().1;
    let issuer = Issuer::start(&[RSA.jwk("a")]).await;
    let pace = Pace { pause: Duration::from_secs(3), patience: Duration::from_secs(2), ..PACE };
    let verifier = Arc::new(issuer.verifier(pace));
    assert_eq!(outcome(&verifier, &known).await, Ok(()));
    assert_eq!(issuer.asked(), 1);
    let storm = async |count: usize| {
        let tokens = (0..count).map(|number| {
            use base64::Engine as _;
            let header = json!({"alg": "RS256", "kid": format!("k{number}")}).to_string();
            format!("{}.{rest}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header))
        });
        let verifier = Arc::clone(&verifier);
        let outcomes = tokens.map(|token| {
            let verifier = Arc::clone(&verifier);
            tokio::spawn(async move { outcome(&verifier, &token).await })
        });
        for outcome in join_all(outcomes.collect::<Vec<_>>()).await {
            assert_eq!(outcome.unwrap(), Err(AuthError::UnknownKey));
        }
    };
    // Too early to read again: refused at once, and read when the pause is over.
    let begun = Instant::now();
    storm(300).await;
    assert!(begun.elapsed() < Duration::from_millis(2500) && issuer.asked() == 1, "{:?}", begun.elapsed());
    asked(&issuer, 2).await;

    // While the issuer keeps one reading waiting, known keys are good and unknown ones start no other.
    issuer.answer(Answer::Never);
    storm(1).await;
    asked(&issuer, 3).await;
    let (_, ()) = tokio::join!(storm(300), async {
        let begun = Instant::now();
        assert_eq!(outcome(&verifier, &known).await, Ok(()));
        assert!(begun.elapsed() < pace.patience / 2, "{:?}", begun.elapsed());
    });
    assert_eq!(issuer.asked(), 3);
}

#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_one_is_good_no_more() {
    let issuer = Issuer::start(&[RSA.jwk("old")]).await;
    let verifier = issuer.verifier(Pace { pause: Duration::from_millis(1), ..PACE });
    assert_eq!(outcome(&verifier, &RSA.token("old")).await, Ok(()));
    issuer.publish(&[RSA.jwk("old"), EC.jwk("new")]);
    // At the first token: it waits for the reading that it causes.
    assert_eq!(outcome(&verifier, &EC.token("new")).await, Ok(()));
    assert_eq!(issuer.asked(), 2);

    // Nothing asks for what was withdrawn, so only time can tell.
    let verifier = issuer.verifier(Pace { period: Duration::from_millis(400), ..PACE });
    assert_eq!(outcome(&verifier, &RSA.token("old")).await, Ok(()));
    issuer.publish(&[EC.jwk("new")]);
    until(&verifier, &RSA.token("old"), Err(AuthError::UnknownKey)).await;
    assert_eq!(outcome(&verifier, &EC.token("new")).await, Ok(()));
    // An empty set is an answer as well.
    issuer.publish(&[]);
    until(&verifier, &EC.token("new"), Err(AuthError::UnknownKey)).await;
    assert_eq!(verifier.ready(), Err(AuthError::NoKeys));
}

#[tokio::test]
async fn an_issuer_that_is_away_costs_nothing_but_new_keys() {
    let issuer = Issuer::start(&[RSA.jwk("a")]).await;
    let (address, location) = (issuer.address, issuer.location());
    drop(issuer);
    let pace = Pace { period: Duration::from_millis(100), ..PACE };
    let verifier = Verifier::new(&with_set(location, pace));
    assert_eq!(outcome(&verifier, &RSA.token("a")).await, Err(AuthError::NoKeys));
    assert_eq!(verifier.ready(), Err(AuthError::NoKeys));
    // It comes by itself.
    let issuer = Issuer::start_at(address, &[RSA.jwk("a")]).await;
    until(&verifier, &RSA.token("a"), Ok(())).await;
    assert_eq!(verifier.ready(), Ok(()));

    let elsewhere = Issuer::start(&[EC.jwk("b")]).await;
    let huge = set(&[RSA.jwk("a"), json!({"kty": "x".repeat(300 << 10)})]);
    for answer in [
        Answer::Status(StatusCode::SERVICE_UNAVAILABLE),
        Answer::Status(StatusCode::NO_CONTENT),
        Answer::Redirect(elsewhere.url()),
        Answer::Body("<html>Sign in</html>".to_owned()),
        Answer::Body("{\"keys\": {}}".to_owned()),
        Answer::Body(set(&[RSA.jwk("a")]).replace('}', "")),
        Answer::Body(String::new()),
        Answer::Body(huge),
    ] {
        let before = issuer.asked();
        issuer.answer(answer.clone());
        asked(&issuer, before + 2).await;
        assert_eq!(outcome(&verifier, &RSA.token("a")).await, Ok(()), "{answer:?}");
        assert_eq!(verifier.ready(), Ok(()));
    }
    assert_eq!(elsewhere.asked(), 0);
    issuer.publish(&[EC.jwk("b")]);
    until(&verifier, &EC.token("b"), Ok(())).await;
    assert_eq!(outcome(&verifier, &RSA.token("a")).await, Err(AuthError::UnknownKey));
}

#[tokio::test]
async fn a_file_is_read_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    // As tools that care write a file: whole, or not at all.
    let write = |text: &str| {
        let new = directory.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &path).unwrap();
    };
    let pace = Pace { period: Duration::from_millis(100), pause: Duration::ZERO, ..PACE };
    let verifier = Verifier::new(&with_set(Location::File(path.clone()), pace));
    assert_eq!(outcome(&verifier, &RSA.token("a")).await, Err(AuthError::NoKeys));
    write(&set(&[RSA.jwk("a")]));
    until(&verifier, &RSA.token("a"), Ok(())).await;
    std::fs::write(&path, &set(&[EC.jwk("b")])[..40]).unwrap();
    assert_eq!(outcome(&verifier, &EC.token("b")).await, Err(AuthError::UnknownKey), "the file was read for it");
    assert_eq!(outcome(&verifier, &RSA.token("a")).await, Ok(()), "half a file changes nothing");
    write(&set(&[EC.jwk("b")]));
    until(&verifier, &EC.token("b"), Ok(())).await;
    until(&verifier, &RSA.token("a"), Err(AuthError::UnknownKey)).await;
    // A kid is compared, and never a path.
    assert!(Path::new("/dev/null").exists());
    assert_eq!(outcome(&verifier, &EC.token("../../../dev/null")).await, Err(AuthError::UnknownKey));
}

#[test]
fn an_address_has_to_be_safe_from_those_between() {
    for good in [
        "https://issuer.example/.well-known/jwks.json",
        "https://issuer.example:8443/keys?p=1",
        "https://10.0.0.7/keys",
        "http://localhost:8080/keys",
        "http://127.0.0.1/keys",
        "http://127.9.9.9:1/",
        "http://[::1]:8080/keys",
    ] {
        assert!(good.parse::<JwksUrl>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "issuer.example",
        "/keys",
        "http://issuer.example/keys",
        "http://10.0.0.7/keys",
        "http://localhost.issuer.example/keys",
        "http://127.0.0.1.issuer.example/keys",
        "http://127.0.0.1@issuer.example/keys",
        "https://user:password@issuer.example/keys",
        "https:///keys",
        "https://",
        "ftp://localhost/keys",
        "file:///etc/passwd",
        "http://[::2]/keys",
        "http://0.0.0.0/keys",
    ] {
        assert!(bad.parse::<JwksUrl>().is_err(), "{bad}");
    }
    let secret = Location::Address("https://issuer.example/keys?code=secret".parse().unwrap());
    assert_eq!(secret.to_string(), "https://issuer.example/keys");
}

#[tokio::test]
async fn a_server_takes_the_tokens_of_its_issuer_over_http_and_websocket() {
    let issuer = Issuer::start(&[]).await;
    let (address, location) = (issuer.address, issuer.location());
    drop(issuer);
    let tokens = with_set(location, PACE);
    let server = Server::start_verifying(&tokens, SocketLimits::default(), None, READY).await;
    let query = "{ viewer { subject } }";
    let body = server.run(&RSA.token("a"), query, json!({})).await;
    assert_eq!(code(&body), "UNAUTHENTICATED");
    let message = "Not authenticated: the keys that tokens are verified with could not be loaded.";
    assert_eq!(body["errors"][0]["message"], message);
    let init =
        |token: &str| json!({"type": "connection_init", "payload": {"Authorization": format!("Bearer {token}")}});
    let mut socket = Socket::open(&server, "graphql-transport-ws", None).await;
    socket.say(init(&RSA.token("a"))).await;
    assert_eq!(socket.close_code().await, 4403);

    let issuer = Issuer::start_at(address, &[RSA.jwk("a"), ED.jwk("b")]).await;
    eventually("the token to be good", async || {
        let answer = server.run(&RSA.token("a"), query, json!({})).await;
        (answer["data"]["viewer"]["subject"] == "ada").then_some(())
    })
    .await;
    let mut socket = Socket::ready(&server, Some(&ED.token("b"))).await;
    socket.subscribe("1", query, json!({})).await;
    assert_eq!(socket.next("1").await, json!({"data": {"viewer": {"subject": "ada"}}}));
    // What one key has signed is not the other's, and an HS256 token is nobody's.
    let body = server.run(&EC.token("a"), query, json!({})).await;
    assert_eq!(code(&body), "UNAUTHENTICATED");
    let forged =
        crate::harness::sign_with(&crate::issuer::claims(), jsonwebtoken::Algorithm::HS256, &file("rsa-a.pub"));
    assert_eq!(code(&server.run(&forged, query, json!({})).await), "UNAUTHENTICATED");
    assert!(issuer.asked() >= 1);
}
