//! The pages for browsers. `make web` builds them into web/dist; the binary holds what was there when it was compiled, and
//! nothing that a page loads comes from elsewhere.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rust_embed::Embed;
use sha2::{Digest, Sha256};

use super::Parts;
use super::transports::accept;

#[derive(Embed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Built;

/// Monaco, GraphiQL's editor, makes its styles as it goes; scripts come from files only.
const GRAPHIQL_POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The dashboard's, but for the pages that may embed it.
const DASHBOARD_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors ";

/// Workers go by the policy that they come with.
const ASSET_POLICY: &str = "default-src 'none'; script-src 'self'";

/// For pages, which name their assets: to be asked for each time.
const REVALIDATED: &str = "no-cache";

/// For assets, whose names change with what is in them.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// A page is also what /graphql answers to browsers, which goes by Accept.
const VARYING: (HeaderName, &str) = (header::VARY, "Accept, Accept-Encoding");

/// The content codings that most files are also there in, the smallest first; their names end with the coding's.
const CODINGS: [&str; 2] = ["br", "gzip"];

const NO_PAGES: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>Project Services</title>
<p>This build has no pages. <code>make web</code> builds them; then build the server again.</p>
<p>The API is at <code>/graphql</code> all the same.</p>
</html>
";

/// GET /: the dashboard. Pages of the allowed origins may embed it, and it takes tokens from them only.
pub async fn dashboard(State(parts): State<Arc<Parts>>, headers: HeaderMap) -> Response {
    let embedders: Vec<String> = parts.allowed_origins.iter().map(ToString::to_string).collect();
    let ancestors = if embedders.is_empty() { "'none'".to_owned() } else { embedders.join(" ") };
    let text = Built::get("index.html").map_or_else(
        || NO_PAGES.to_owned(),
        |file| {
            let token_field = if parts.limiter.limits().token_field { "shown" } else { "" };
            String::from_utf8_lossy(&file.data)
                .replace(
                    r#"name="embedders" content="""#,
                    &format!(r#"name="embedders" content="{}""#, embedders.join(",")),
                )
                .replace(r#"name="token-field" content="""#, &format!(r#"name="token-field" content="{token_field}""#))
        },
    );
    let tag = tag(&Sha256::digest(&text));
    let heading = [(header::CACHE_CONTROL, REVALIDATED), (header::ETAG, tag.as_str())];
    let page = if is_known(&headers, &tag) {
        (StatusCode::NOT_MODIFIED, heading).into_response()
    } else {
        (heading, Html(text)).into_response()
    };
    // Origins are ASCII without a control character.
    match HeaderValue::from_str(&format!("{DASHBOARD_POLICY}{ancestors}")) {
        Ok(policy) => guarded(page, policy),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// GET /graphiql.
pub async fn graphiql(State(parts): State<Arc<Parts>>, headers: HeaderMap) -> Response {
    if !parts.limiter.limits().graphiql {
        return (StatusCode::NOT_FOUND, "GraphiQL is switched off.\n").into_response();
    }
    graphiql_page(&headers)
}

/// What browsers get of /graphiql, and of GET /graphql.
pub fn graphiql_page(headers: &HeaderMap) -> Response {
    page("graphiql.html", GRAPHIQL_POLICY, headers)
}

/// GET /assets/…: what the pages load.
pub async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let response = file(&format!("assets/{path}"), IMMUTABLE, &headers);
    guarded(response.unwrap_or_else(|| StatusCode::NOT_FOUND.into_response()), HeaderValue::from_static(ASSET_POLICY))
}

fn page(name: &str, policy: &'static str, headers: &HeaderMap) -> Response {
    let response = file(name, REVALIDATED, headers);
    let missing = || ([VARYING, (header::CACHE_CONTROL, REVALIDATED)], Html(NO_PAGES)).into_response();
    guarded(response.unwrap_or_else(missing), HeaderValue::from_static(policy))
}

fn guarded(mut response: Response, policy: HeaderValue) -> Response {
    response.headers_mut().extend([
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ]);
    response
}

/// A file in the coding that the client would rather have, or word that the client has it already.
fn file(name: &str, caching: &'static str, headers: &HeaderMap) -> Option<Response> {
    let plain = Built::get(name)?;
    let content_type = plain.metadata.mimetype().to_owned();
    let coded = accept::coding(headers, &CODINGS)
        .and_then(|coding| Built::get(&format!("{name}.{coding}")).map(|file| (Some(coding), file)));
    let (coding, file) = coded.unwrap_or((None, plain));

    let tag = tag(&file.metadata.sha256_hash());
    let parts = [VARYING, (header::CACHE_CONTROL, caching), (header::ETAG, tag.as_str())];
    if is_known(headers, &tag) {
        return Some((StatusCode::NOT_MODIFIED, parts).into_response());
    }
    let mut response = (parts, [(header::CONTENT_TYPE, content_type)], file.data).into_response();
    if let Some(coding) = coding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    Some(response)
}

/// The entity tag of what has this hash.
fn tag(hash: &[u8]) -> String {
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(hash))
}

/// Whether the client has what bears this tag.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    known.is_some_and(|tags| tags.contains(tag) || tags.trim() == "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_that_was_not_built_says_how_to_build_it() {
        let response = page("nothing.html", GRAPHIQL_POLICY, &HeaderMap::new());
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("<code>make web</code>"));
    }
}
