//! What a verified token's claims grant.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::{Map, Value};

use super::AuthError;
use super::json::Strict;
use crate::domain::permission::{Principal, Projects};

/// The most bytes of a `sub`, which stands in every event that its bearer causes.
pub(super) const MAX_SUBJECT: usize = 256;
/// The most projects or permissions of a token, and the most bytes of one; who may see more is given `*`.
pub(super) const MAX_LISTED: usize = 1000;
pub(super) const MAX_TEXT: usize = 256;

/// The claims of a token, each of them there once.
pub(super) struct Claims(Map<String, Value>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Strict::deserialize(deserializer)? {
            Strict(Value::Object(members)) => Ok(Self(members)),
            Strict(_) => Err(D::Error::custom("claims are the members of an object")),
        }
    }
}

/// The name of a claim, such as `projects`. Dots lead into objects: `realm_access.roles` is the claim of that name or, if
/// there is none, `roles` in `realm_access`. Names may hold dots themselves: the longest that is there is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimName(pub(super) String);

#[derive(Debug, thiserror::Error)]
#[error("a claim's name has no empty parts between its dots")]
pub struct ClaimNameError;

impl FromStr for ClaimName {
    type Err = ClaimNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.split('.').any(|part| part.trim().is_empty()) {
            return Err(ClaimNameError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ClaimName {
    fn find<'a>(&self, Claims(claims): &'a Claims) -> Option<&'a Value> {
        find(claims, &self.0)
    }
}

fn find<'a>(members: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    members.get(path).or_else(|| {
        path.rmatch_indices('.').find_map(|(dot, _)| find(members.get(&path[..dot])?.as_object()?, &path[dot + 1..]))
    })
}

/// Who the claims stand for. A claim that is missing or of another type grants nothing.
pub(super) fn principal(
    claims: &Claims,
    projects: &ClaimName,
    permissions: &ClaimName,
) -> Result<Principal, AuthError> {
    let subject = claims.0.get("sub").and_then(Value::as_str).filter(|sub| !sub.is_empty());
    let subject = subject.ok_or(AuthError::MissingClaim("sub"))?;
    if subject.len() > MAX_SUBJECT {
        return Err(AuthError::LongSubject);
    }
    if subject.contains(char::is_control) {
        return Err(AuthError::UnprintableSubject);
    }
    // A NumericDate may have a fraction (RFC 7519, section 2); what is cut off ends a stream a moment early.
    let expires_at = claims.0.get("exp").and_then(Value::as_f64).ok_or(AuthError::MissingClaim("exp"))?;
    let expires_at = Timestamp::from_second(expires_at as i64).map_err(|_| AuthError::Invalid)?;
    let listed = projects.find(claims).map(texts).unwrap_or_default();
    let permissions = match permissions.find(claims) {
        // As OAuth's `scope` is written (RFC 8693, section 4.2).
        Some(Value::String(scope)) => scope.split(' ').filter(|token| !token.is_empty()).collect(),
        claim => claim.map(texts).unwrap_or_default(),
    };
    if [&listed, &permissions].iter().any(|list| is_long(list)) {
        return Err(AuthError::LongList);
    }
    let projects = if listed.contains(&"*") {
        Projects::All
    } else {
        Projects::Listed(listed.iter().filter_map(|project| project.parse().ok()).collect())
    };
    let permissions = permissions.into_iter().map(str::to_owned).collect();
    Ok(Principal { subject: subject.to_owned(), projects, permissions, expires_at })
}

fn texts(claim: &Value) -> Vec<&str> {
    claim.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn is_long(list: &[&str]) -> bool {
    list.len() > MAX_LISTED || list.iter().any(|text| text.len() > MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(claims: &Value) -> Claims {
        Claims(claims.as_object().unwrap().clone())
    }

    fn found(name: &str, claims: &Value) -> Option<Value> {
        name.parse::<ClaimName>().unwrap().find(&of(claims)).cloned()
    }

    #[test]
    fn a_dotted_name_is_a_claim_of_that_name_or_leads_into_objects() {
        let nested = json!({"realm_access": {"roles": ["a"]}, "x": {"y": {"z": 1}}});
        assert_eq!(found("realm_access.roles", &nested), Some(json!(["a"])));
        assert_eq!(found("x.y.z", &nested), Some(json!(1)));
        for missing in ["roles", "realm_access.roles.more", "x.z", "x.y.z.0"] {
            assert_eq!(found(missing, &nested), None, "{missing}");
        }
        let url = "https://x.example/claims.projects";
        assert_eq!(found(url, &json!({"https://x.example/claims.projects": 1})), Some(json!(1)));
        assert_eq!(found(url, &json!({"https://x.example/claims": {"projects": 2}})), Some(json!(2)));
        let both = json!({"a": {"b": "nested"}, "a.b": "literal"});
        assert_eq!(found("a.b", &both), Some(json!("literal")));
        // A shorter name leads on where a longer one leads nowhere.
        assert_eq!(found("a.b.c", &json!({"a.b": {"d": 1}, "a": {"b.c": 2}})), Some(json!(2)));
        for wrong in ["", ".", "a.", ".a", "a..b", " "] {
            assert!(wrong.parse::<ClaimName>().is_err(), "{wrong:?}");
        }
    }

    fn outcome(claims: &Value) -> Result<Principal, AuthError> {
        let mut all = json!({"sub": "ada", "exp": 4_000_000_000_u64});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let names = ["projects", "permissions"].map(|name| name.parse().unwrap());
        principal(&of(&all), &names[0], &names[1])
    }

    fn granted(claims: Value) -> (Projects, Vec<String>) {
        let principal = outcome(&claims).unwrap();
        (principal.projects, principal.permissions)
    }

    #[test]
    fn what_stands_in_events_and_in_memory_is_bounded() {
        assert_eq!(outcome(&json!({"sub": "é".repeat(128)})).unwrap().subject.len(), 256);
        assert_eq!(outcome(&json!({"sub": "é".repeat(128) + "a"})), Err(AuthError::LongSubject));
        for sub in ["a\0", "a\nb", "\u{1b}[2J", "a\u{7f}", "\u{85}"] {
            assert_eq!(outcome(&json!({"sub": sub})), Err(AuthError::UnprintableSubject), "{sub:?}");
        }
        for claim in ["projects", "permissions"] {
            assert!(outcome(&json!({claim: vec!["a"; 1000]})).is_ok());
            assert!(outcome(&json!({claim: ["a".repeat(256)]})).is_ok());
            assert_eq!(outcome(&json!({claim: vec!["a"; 1001]})), Err(AuthError::LongList), "{claim}");
            assert_eq!(outcome(&json!({claim: ["*", "a".repeat(257)]})), Err(AuthError::LongList), "{claim}");
        }
        assert_eq!(outcome(&json!({"permissions": "a ".repeat(1001)})), Err(AuthError::LongList));
    }

    #[test]
    fn claims_of_another_type_grant_nothing() {
        for wrong in [json!(null), json!(true), json!(7), json!({"project:settings": true, "*": "*"}), json!([[["*"]]])]
        {
            let expected = (Projects::Listed(vec![]), vec![]);
            assert_eq!(granted(json!({"projects": wrong, "permissions": wrong})), expected, "{wrong}");
        }
        // Only a list of projects is one: "*" alone could have been meant as anything.
        assert_eq!(granted(json!({"projects": "*"})).0, Projects::Listed(vec![]));
        assert_eq!(granted(json!({"projects": ["*", 7]})).0, Projects::All);
    }

    #[test]
    fn permissions_may_be_written_as_a_scope() {
        let expected = ["project:settings", "project:delete"];
        for permissions in
            [json!(expected), json!("project:settings project:delete"), json!(" project:settings  project:delete ")]
        {
            assert_eq!(granted(json!({"permissions": permissions})).1, expected);
        }
        assert_eq!(granted(json!({"permissions": "project:settings,project:delete"})).1.len(), 1);
        assert!(granted(json!({"permissions": ""})).1.is_empty());
    }
}
