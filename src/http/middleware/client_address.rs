//! Where a request comes from, also when proxies hand it on.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

use crate::http::Parts;

const FORWARDED: &str = "x-forwarded-for";

/// The client's own address; part of every request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Finds the address out.
pub async fn resolve(
    State(parts): State<Arc<Parts>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let address = of(peer.ip(), request.headers(), &parts.limiter.limits().trusted_proxies);
    request.extensions_mut().insert(ClientAddress(address));
    next.run(request).await
}

/// The last address on the way here that is no trusted proxy's. What stands ahead of that one in the header may have been
/// made up by whoever sent it.
fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let lines: Vec<&str> = headers.get_all(FORWARDED).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    let mut way = lines.iter().rev().flat_map(|line| line.rsplit(','));
    let mut address = peer.to_canonical();
    while is_trusted(&address) {
        let Some(sender) = way.next().and_then(parsed) else { break };
        address = sender;
    }
    address
}

/// Some proxies add the port.
fn parsed(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.as_ref().map(IpAddr::to_canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_trusted_proxies_say_is_believed() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::1/128"].map(|network| network.parse().unwrap()).into();
        for (peer, forwarded, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["198.51.100.7", "203.0.113.9,10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["198.51.100.7, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.7:1234"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db8::7]:1234"], "2001:db8::7"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            let lines = forwarded.iter().map(|line| (FORWARDED.parse().unwrap(), line.parse().unwrap()));
            let headers: HeaderMap = lines.fold(HeaderMap::new(), |mut headers, (name, line)| {
                headers.append::<axum::http::HeaderName>(name, line);
                headers
            });
            assert_eq!(of(peer.parse().unwrap(), &headers, &trusted).to_string(), expected, "{peer} {forwarded:?}");
        }
    }
}
