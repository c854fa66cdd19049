//! Which web pages may use the API.
//!
//! A browser names the origin of the page in what it sends for a script to another origin (Fetch, "CORS protocol") and
//! whenever it opens a WebSocket (RFC 6455, section 10.2), which CORS does not cover. A page of an origin that is not
//! allowed is refused before anything runs. Requests without an origin are no page's, or a page's that only reads from
//! where it came from; they pass.
//!
//! Forging requests gains little here anyway: no cookie counts, so what another site's form or link sends comes from
//! nobody. A mutation needs a POST of JSON, which no form can send.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::error::{Code, Error};
use crate::audit;
use crate::http::Parts;
use crate::http::transports::accept::Media;
use crate::http::transports::answer;

/// How long a browser may remember that an origin is allowed, in seconds: the longest that Chromium does.
const MAX_AGE: &str = "7200";

/// An origin as browsers write it: `https://app.example`, with a port if it is not the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an origin is of the form https://host or https://host:port, and nothing more")]
pub struct OriginError;

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let text = text.trim().to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or(OriginError)?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let is_authority = !authority.is_empty()
            && authority.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@*\\\"';<>&".contains(&byte));
        if !is_scheme || !is_authority {
            return Err(OriginError);
        }
        Ok(Self(format!("{scheme}://{}", without_default_port(scheme, authority))))
    }
}

/// The headers of an answer that pages may read besides the usual ones.
const EXPOSED: &str = "x-request-id, retry-after";

/// Lets a request through or refuses it by its origin, and tells browsers what allowed pages may send and read.
pub async fn check(State(parts): State<Arc<Parts>>, request: Request, next: Next) -> Response {
    let mut response = match request.headers().get(header::ORIGIN).cloned() {
        None => next.run(request).await,
        Some(origin) if is_allowed(&origin, request.headers(), &parts.allowed_origins) => {
            let mut response =
                if is_preflight(&request) { preflight(request.headers()) } else { next.run(request).await };
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
            response
        }
        Some(_) => {
            audit::request_refused("its origin is not allowed");
            let error = Error::new(Code::Forbidden, "Pages of this origin are not allowed to use the API.");
            answer::refusal(StatusCode::FORBIDDEN, error, Media::Json)
        }
    };
    response.headers_mut().append(header::VARY, HeaderValue::from_name(header::ORIGIN));
    response
}

fn is_allowed(origin: &HeaderValue, headers: &HeaderMap, allowed: &[Origin]) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_own = origin.split_once("://").zip(host).is_some_and(|((scheme, authority), host)| {
        without_default_port(scheme, &host.to_ascii_lowercase()) == without_default_port(scheme, authority)
    });
    is_own || allowed.iter().any(|allowed| allowed.0 == origin)
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return authority,
    };
    authority.strip_suffix(port).unwrap_or(authority)
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// What a page may send: its tracing and its client library add headers of their own, so whatever it wants to.
fn preflight(headers: &HeaderMap) -> Response {
    let allow: [(HeaderName, &str); 2] =
        [(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"), (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE)];
    let mut response = (StatusCode::NO_CONTENT, allow).into_response();
    if let Some(wanted) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_name(header::ACCESS_CONTROL_REQUEST_HEADERS));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origin: &str, host: &str, allowed: &[&str]) -> bool {
        let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
        let allowed: Vec<Origin> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        is_allowed(&origin.parse().unwrap(), &headers, &allowed)
    }

    #[test]
    fn a_page_may_talk_to_where_it_came_from() {
        for (origin, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("https://app.example", "app.example"),
            ("https://app.example", "App.Example:443"),
            ("http://app.example", "app.example:80"),
        ] {
            assert!(allowed(origin, host, &[]), "{origin} {host}");
        }
        for (origin, host) in [
            ("http://127.0.0.1:3000", "127.0.0.1:8080"),
            ("http://localhost:8080", "127.0.0.1:8080"),
            ("https://app.example", "app.example:80"),
            ("https://app.example.evil.example", "app.example"),
            ("https://evil.example", "app.example"),
            ("null", "null"),
            ("", ""),
            ("app.example", "app.example"),
        ] {
            assert!(!allowed(origin, host, &[]), "{origin} {host}");
        }
    }

    #[test]
    fn other_pages_are_allowed_by_their_exact_origin() {
        let list = ["https://app.example", " HTTP://localhost:5173", "https://b.example:443", "tauri://localhost"];
        for origin in ["https://app.example", "http://localhost:5173", "https://b.example", "tauri://localhost"] {
            assert!(allowed(origin, "api.example", &list), "{origin}");
        }
        for origin in [
            "http://app.example",
            "https://app.example:8443",
            "https://sub.app.example",
            "https://app.example.evil.example",
            "http://localhost:5174",
            "null",
        ] {
            assert!(!allowed(origin, "api.example", &list), "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_can_not_be_allowed() {
        for text in [
            "",
            "*",
            "null",
            "app.example",
            "https://",
            "https://app.example/",
            "https://app.example/path",
            "https://*.app.example",
            "https://user@app.example",
            "https://app example",
            "https://app.example;script-src",
            "https://app.example\"",
            "://app.example",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(OriginError), "{text}");
        }
    }
}
