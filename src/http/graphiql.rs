//! GraphiQL for browsers that open the endpoint.

use async_graphql::http::GraphiQLSource;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

/// The page. What is typed into its headers editor goes into `connection_init` as well.
pub fn page() -> Response {
    let html = GraphiQLSource::build()
        .endpoint("/graphql")
        .subscription_endpoint("/graphql")
        .title("Project Services")
        .finish();
    ([(header::VARY, "Accept")], Html(html)).into_response()
}
