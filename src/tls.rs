//! How connections to others are secured: by rustls with ring, and by nothing that is set up for the whole process.

use std::sync::Arc;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, Error, RootCertStore};

/// The authorities that the system trusts. None at all is no failure: nothing can be verified then.
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// A client that verifies servers against `roots`, and shows no certificate of its own.
///
/// # Errors
/// Where the versions of TLS that are built in can't be used with what encrypts.
pub fn client(roots: RootCertStore) -> Result<ClientConfig, Error> {
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// What connects an HTTP client, to `http://…` as well.
///
/// # Errors
/// As [`client`].
pub fn connector(roots: RootCertStore) -> Result<HttpsConnector<HttpConnector>, Error> {
    Ok(HttpsConnectorBuilder::new().with_tls_config(client(roots)?).https_or_http().enable_http1().build())
}
