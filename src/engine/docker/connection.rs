//! How an engine is reached.

use std::path::PathBuf;

use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::sync::OnceCell;

use super::{QUICK, within};
use crate::engine::{EngineError, Result};

/// How long a call may take whose caller says nothing else, in seconds.
const TIMEOUT: u64 = 120;

/// Where an engine is.
#[derive(Debug, Clone)]
pub struct Host {
    /// `unix://…`, `tcp://…`, `http://…` or `https://…`, as in DOCKER_HOST.
    pub address: String,
    /// For https; what the docker command would take when left out.
    pub tls: Option<ClientTls>,
}

/// PEM files.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// The authority that signed the engine's certificate.
    pub ca: PathBuf,
    /// What the server shows the engine, and its key.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// An engine that is connected to at the first call, so that it may be away when this is made.
pub struct Connection {
    host: Host,
    client: OnceCell<Docker>,
}

impl Connection {
    pub fn new(host: Host) -> Self {
        Self { host, client: OnceCell::new() }
    }

    /// Its calls name no version of the API, so each is answered in the engine's own. An engine that is replaced by a newer
    /// one under a running server would refuse the one that was agreed on with the old one.
    pub async fn client(&self) -> Result<&Docker> {
        let connect = async || {
            let client = self.connect().map_err(|error| EngineError::Unavailable(Box::new(error)))?;
            let agreed = within(QUICK, client.negotiate_version()).await;
            agreed.map_err(|error| EngineError::Unavailable(Box::new(error)))
        };
        self.client.get_or_try_init(connect).await
    }

    fn connect(&self) -> Result<Docker, bollard::errors::Error> {
        let Host { address, tls } = &self.host;
        match tls {
            Some(ClientTls { ca, certificate, key }) => {
                Docker::connect_with_ssl(address, key, certificate, ca, TIMEOUT, API_DEFAULT_VERSION)
            }
            None => Docker::connect_with_host(address),
        }
    }
}
