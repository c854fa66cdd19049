//! What a token can try, against one key or several, and where it can be sent.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use project_services::auth::{AuthError, Key, KeyError, KeySource, PUBLIC_ALGORITHMS, TokenSettings, Verifier};
use project_services::domain::permission::Projects;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::{Server, Socket, code, demo, in_seconds, sign, sign_with};
use crate::issuer::{EC, ED, Issuer, OTHER_RSA, PACE, PSS, Pair, RSA, claim, claims, file, with_pem};

async fn outcome(verifier: &Verifier, token: &str) -> Result<(), AuthError> {
    verifier.verify(token).await.map(|_| ())
}

#[tokio::test]
async fn a_public_key_verifies_with_the_algorithms_of_its_kind_and_no_other() {
    for key in [RSA, EC, ED] {
        let verifier = with_pem(&key.public_pem(), PUBLIC_ALGORITHMS);
        for signer in [RSA, PSS, EC, ED, OTHER_RSA] {
            let expected = if signer.0 == key.0 { Ok(()) } else { Err(AuthError::Invalid) };
            // One key needs no id, so any is good.
            for kid in ["", "a"] {
                assert_eq!(outcome(&verifier, &signer.token(kid)).await, expected, "{signer:?} with {key:?}");
            }
        }
        for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS384, Algorithm::PS512] {
            let token = Pair(RSA.0, algorithm).token("");
            assert_eq!(outcome(&verifier, &token).await, Err(AuthError::Invalid), "{algorithm:?} with {key:?}");
        }
    }
    let only_pss = with_pem(&RSA.public_pem(), &[Algorithm::PS256, Algorithm::ES256]);
    assert_eq!(outcome(&only_pss, &PSS.token("")).await, Ok(()));
    assert_eq!(outcome(&only_pss, &RSA.token("")).await, Err(AuthError::Invalid));
}

#[tokio::test]
async fn a_public_key_is_never_taken_for_a_secret() {
    let issuer = Issuer::start(&[RSA.jwk("a"), json!({"kty": "oct", "kid": "b", "k": "c2VjcmV0"})]).await;
    let published = issuer.verifier(PACE);
    for key in [RSA, EC, ED] {
        let verifier = with_pem(&key.public_pem(), PUBLIC_ALGORITHMS);
        let pem = key.public_pem();
        let der = base64::engine::general_purpose::STANDARD
            .decode(pem.lines().filter(|line| !line.starts_with("---")).collect::<String>())
            .unwrap();
        let modulus = URL_SAFE_NO_PAD.decode(RSA.jwk("")["n"].as_str().unwrap()).unwrap();
        for secret in [pem.as_bytes(), pem.trim().as_bytes(), &der, &modulus, b"secret", b""] {
            for (kid, algorithm) in [("", Algorithm::HS256), ("a", Algorithm::HS384), ("b", Algorithm::HS256)] {
                let header = jsonwebtoken::Header {
                    kid: Some(kid.to_owned()).filter(|kid| !kid.is_empty()),
                    ..jsonwebtoken::Header::new(algorithm)
                };
                let secret = jsonwebtoken::EncodingKey::from_secret(secret);
                let token = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
                assert_eq!(outcome(&verifier, &token).await, Err(AuthError::Invalid));
                assert!(outcome(&published, &token).await.is_err(), "{kid} {algorithm:?}");
            }
        }
    }
    assert_eq!(outcome(&published, &RSA.token("a")).await, Ok(()));
}

#[tokio::test]
async fn a_header_brings_no_key_and_no_conditions() {
    let attacker = Issuer::start(&[OTHER_RSA.jwk("a")]).await;
    let issuer = Issuer::start(&[RSA.jwk("a")]).await;
    let verifier = issuer.verifier(PACE);
    let claims = claims().to_string();
    let head = |extra: Value| {
        let mut header = json!({"alg": "RS256", "kid": "a"});
        header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        header.to_string()
    };
    let pointers = [
        json!({}),
        json!({"jwk": OTHER_RSA.jwk("a")}),
        json!({"jku": attacker.url()}),
        json!({"x5u": attacker.url(), "x5c": ["AAAA"], "x5t": "AAAA"}),
        json!({"typ": "at+jwt", "cty": "JWT"}),
    ];
    for extra in pointers {
        // They do no harm to a good token, and no good to a bad one.
        let header = head(extra);
        assert_eq!(outcome(&verifier, &RSA.sign_raw(&header, &claims)).await, Ok(()), "{header}");
        let forged = OTHER_RSA.sign_raw(&header, &claims);
        assert_eq!(outcome(&verifier, &forged).await, Err(AuthError::Invalid), "{header}");
    }
    assert_eq!(attacker.asked(), 0);
    for header in [
        head(json!({"crit": ["exp"]})),
        head(json!({"crit": []})),
        head(json!({"crit": ["b64"], "b64": false})),
        head(json!({"crit": "exp"})),
        head(json!({"alg": "none"})),
        head(json!({"alg": "None"})),
        head(json!({"alg": ""})),
        head(json!({"alg": ["RS256"]})),
        head(json!({"alg": null})),
        head(json!({"kid": 7})),
        "{\"alg\": \"HS256\", \"alg\": \"RS256\", \"kid\": \"a\"}".to_owned(),
        "{\"kid\": \"a\"}".to_owned(),
        "[]".to_owned(),
        String::new(),
    ] {
        assert_eq!(outcome(&verifier, &RSA.sign_raw(&header, &claims)).await, Err(AuthError::Invalid), "{header}");
    }
    for kid in ["../../../../dev/null", "/etc/passwd", "a\u{0}", "' OR 1=1 --", "http://127.0.0.1/", " a", "A"] {
        let token = RSA.sign_raw(&head(json!({"kid": kid})), &claims);
        assert_eq!(outcome(&verifier, &token).await, Err(AuthError::UnknownKey), "{kid}");
    }
}

#[tokio::test]
async fn claims_have_to_be_what_they_are_called() {
    let verifier = with_pem(&ED.public_pem(), PUBLIC_ALGORITHMS);
    let later = in_seconds(3600);
    let head = "{\"alg\": \"EdDSA\"}";
    for refused in [
        json!({"sub": "ada", "exp": later.to_string()}),
        json!({"sub": "ada", "exp": 1e300}),
        json!({"sub": "ada", "exp": u64::MAX}),
        json!({"sub": "ada", "exp": 253_402_300_800_i64}),
        json!({"sub": "ada", "exp": -1}),
        json!({"sub": "ada", "exp": null}),
        json!({"sub": "ada", "exp": [later]}),
        json!({"sub": "ada", "claims": {"exp": later}}),
        json!({"sub": "ada", "exp": in_seconds(-31)}),
        json!({"sub": "ada", "exp": later, "nbf": in_seconds(60)}),
        json!({"sub": "ada", "exp": later, "nbf": "0"}),
        json!({"sub": "", "exp": later}),
        json!({"sub": ["ada"], "exp": later}),
        json!({"sub": 7, "exp": later}),
        json!([{"sub": "ada", "exp": later}]),
    ] {
        assert!(outcome(&verifier, &ED.sign_raw(head, &refused.to_string())).await.is_err(), "{refused}");
    }
    assert_eq!(outcome(&verifier, &ED.sign_raw(head, "not JSON")).await, Err(AuthError::Invalid));
    let token = ED.sign_raw(head, &json!({"sub": "ada", "exp": later as f64 + 0.5, "nbf": 0.5}).to_string());
    assert_eq!(outcome(&verifier, &token).await, Ok(()));
}

#[tokio::test]
async fn a_claim_that_is_there_twice_is_no_claim() {
    let key = Key::from_pem(&ED.public_pem(), PUBLIC_ALGORITHMS).unwrap();
    let verifier = Verifier::new(&TokenSettings {
        projects_claim: claim("https://platform.example/projects"),
        permissions_claim: claim("realm_access.roles"),
        ..TokenSettings::new(KeySource::PublicKey(key))
    });
    let verify = async |more: &str| {
        let claims = format!("{{\"sub\": \"ada\", \"exp\": {}{more}}}", in_seconds(3600));
        outcome(&verifier, &ED.sign_raw("{\"alg\": \"EdDSA\"}", &claims)).await
    };
    assert_eq!(verify("").await, Ok(()));
    for twice in [
        ", \"sub\": \"eve\"",
        ", \"sub\": \"ada\"",
        ", \"\\u0073ub\": \"eve\"",
        ", \"exp\": 4000000000",
        ", \"nbf\": 1, \"nbf\": 2",
        ", \"https://platform.example/projects\": [], \"https://platform.example/projects\": [\"*\"]",
        ", \"realm_access\": {\"roles\": [], \"roles\": [\"project:delete\"]}",
        ", \"whatever\": 1, \"whatever\": 1",
    ] {
        assert_eq!(verify(twice).await, Err(AuthError::Duplicate), "{twice}");
    }
    let refused = verify(&format!(", \"x\": \"{}\", \"x\": 1", "a".repeat(60_000))).await.unwrap_err();
    assert_eq!(refused.to_string(), "a claim of the token is there twice");
}

#[tokio::test]
async fn a_subject_that_is_too_long_is_told_so() {
    let server = Server::start().await;
    let token = sign(&json!({"sub": "a".repeat(20_000), "exp": in_seconds(60)}));
    let answer = server.run(&token, "{ viewer { subject } }", json!({})).await;
    assert_eq!(code(&answer), "UNAUTHENTICATED");
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert_eq!(message, "Not authenticated: the token's sub has more than 256 bytes.");
}

#[tokio::test]
async fn projects_and_permissions_are_in_the_claims_that_the_settings_name() {
    let key = Key::from_pem(&EC.public_pem(), PUBLIC_ALGORITHMS).unwrap();
    let settings = TokenSettings {
        projects_claim: claim("https://platform.example/claims.projects"),
        permissions_claim: claim("scope"),
        ..TokenSettings::new(KeySource::PublicKey(key))
    };
    let claims = json!({
        "sub": "ada", "exp": in_seconds(60), "projects": ["*"], "permissions": ["project:delete"],
        "https://platform.example/claims": {"projects": ["demo", "Not An Id"]},
        "scope": "openid project:settings",
    });
    let principal = Verifier::new(&settings).verify(&EC.sign("", &claims)).await.unwrap();
    assert_eq!(principal.projects, Projects::Listed(vec!["demo".parse().unwrap()]));
    assert_eq!(principal.permissions, ["openid", "project:settings"]);
}

#[test]
fn a_pem_file_has_to_hold_one_public_key_that_is_strong_enough() {
    let two = RSA.public_pem() + &EC.public_pem();
    let certificate = RSA.public_pem().replace("PUBLIC KEY", "CERTIFICATE");
    for (pem, expected) in [
        (file("rsa-a.pem"), KeyError::Private),
        (file("ed25519.pem"), KeyError::Private),
        (RSA.public_pem() + &file("p256.pem"), KeyError::Private),
        (file("rsa1024.pub"), KeyError::Size(1024)),
        (file("p384.pub"), KeyError::Kind),
        (two, KeyError::Pem),
        (certificate, KeyError::Pem),
        (RSA.public_pem().replacen("MIIB", "MIIC", 1), KeyError::Pem),
        ("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n".to_owned(), KeyError::Pem),
        (String::new(), KeyError::Pem),
    ] {
        assert_eq!(Key::from_pem(&pem, PUBLIC_ALGORITHMS).unwrap_err(), expected, "{pem}");
    }
    assert_eq!(Key::from_pem(&ED.public_pem(), &[Algorithm::RS256]).unwrap_err(), KeyError::Algorithm);
    assert!(Key::from_pem(&format!("A comment\n{}", RSA.public_pem()), PUBLIC_ALGORITHMS).is_ok());
}

#[tokio::test]
async fn a_token_in_an_address_or_a_cookie_is_not_looked_at() {
    let server = Server::start().await;
    let good = demo();
    let body = json!({"query": "{ viewer { subject } }"});
    for name in ["access_token", "token", "Authorization", "authorization", "jwt", "id_token", "bearer"] {
        for value in [good.clone(), format!("Bearer%20{good}")] {
            let url = server.url(&format!("/graphql?{name}={value}"));
            let post = server.client.post(&url).json(&body);
            let get = server.client.get(format!("{url}&query={{viewer{{subject}}}}"));
            let cookie =
                server.client.post(server.url("/graphql")).json(&body).header("cookie", format!("{name}={value}"));
            for request in [post, get, cookie] {
                let answer: Value = request.send().await.unwrap().json().await.unwrap();
                assert_eq!(code(&answer), "UNAUTHENTICATED", "{name}");
            }
            let mut socket = Socket::open_at(&server, &format!("/graphql?{name}={value}")).await;
            socket.say(json!({"type": "connection_init", "payload": {"query": value}})).await;
            assert_eq!(socket.json().await, json!({"type": "connection_ack"}));
            socket.subscribe("1", "{ viewer { subject } }", json!({})).await;
            assert_eq!(code(&socket.next("1").await), "UNAUTHENTICATED", "{name}");
        }
    }
    // Nor does it help a bad one in the header.
    let url = server.url(&format!("/graphql?access_token={good}"));
    let request = server.client.post(url).json(&body).bearer_auth(sign_with(&claims(), Algorithm::HS256, "another"));
    assert_eq!(code(&request.send().await.unwrap().json().await.unwrap()), "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_token_lasts_for_the_leeway_over_the_wire() {
    let server = Server::start().await;
    let viewer = async |exp: i64| {
        server.run(&sign(&json!({"sub": "ada", "exp": exp})), "{ viewer { expiresAt } }", json!({})).await
    };
    let exp = in_seconds(-15);
    let expires_at = jiff::Timestamp::from_second(exp).unwrap().to_string();
    assert_eq!(viewer(exp).await["data"]["viewer"]["expiresAt"], expires_at);
    assert_eq!(code(&viewer(in_seconds(-31)).await), "UNAUTHENTICATED");
}

/// Good tokens of every kind, and who verifies them.
static GOOD: LazyLock<(tokio::runtime::Runtime, Vec<(Verifier, String)>)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let secret = "a secret of the tests, long enough for HS256".to_owned();
    let hs256 = Verifier::new(&TokenSettings::new(KeySource::Secret(secret.clone().into())));
    let mut all = vec![(hs256, sign_with(&claims(), Algorithm::HS256, &secret))];
    all.extend([RSA, PSS, EC, ED].map(|pair| (with_pem(&pair.public_pem(), PUBLIC_ALGORITHMS), pair.token("a"))));
    (runtime, all)
});

fn assert_refused(text: &str) {
    let (runtime, all) = &*GOOD;
    if all.iter().any(|(_, good)| text == good) {
        return;
    }
    for (verifier, _) in all {
        assert!(runtime.block_on(verifier.verify(text)).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_is_a_token_by_chance(text in "\\PC{0,200}", parts in proptest::array::uniform3("[A-Za-z0-9_-]{0,80}")) {
        assert_refused(&text);
        assert_refused(&parts.join("."));
        let (runtime, all) = &*GOOD;
        prop_assert!(runtime.block_on(all[0].0.verify_bearer(&text)).is_err());
    }

    #[test]
    fn a_good_token_that_is_changed_anywhere_is_good_no_more(
        which in 0..5_usize, at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.=+/ é-]{0,3}", remove in 0..3_usize,
    ) {
        let good = &GOOD.1[which].1;
        let at = at.index(good.len() + 1);
        let end = (at + remove).min(good.len());
        assert_refused(&format!("{}{with}{}", &good[..at], &good[end..]));
    }

    #[test]
    fn parts_of_good_tokens_can_not_be_put_together(head in 0..5_usize, body in 0..5_usize, tail in 0..5_usize) {
        let part = |which: usize, part: usize| GOOD.1[which].1.split('.').nth(part).unwrap();
        assert_refused(&format!("{}.{}.{}", part(head, 0), part(body, 1), part(tail, 2)));
    }
}
