//! Connections: taking them, bounding them, and letting them end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::Response;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::inbound::{CountedStream, Inbound};
use super::limits::{ConnectionSlot, Limiter};

/// After a failure to take a connection, which is most likely for want of a file descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// What a connection keeps of what comes before it is looked at, in bytes: the longest head of a request. It is there for each
/// connection, whoever has it; the library's own choice is 408 KiB.
const READ_BUFFER: usize = 32 << 10;

/// Serves `router` until `shutdown`, and then until open requests are answered. WebSockets are the router's own.
pub async fn serve(listener: TcpListener, router: Router, limiter: Arc<Limiter>, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(slot) = limiter.connections.admit() else { continue };
                let connection = Connection { stream, peer, slot, shutdown: shutdown.clone() };
                connections.spawn(connection.serve(router.clone(), Arc::clone(&limiter)));
                // Who has to make room gets to do so ahead of the next one.
                tokio::task::yield_now().await;
            }
            Err(error) => {
                tracing::warn!(%error, "A connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    slot: Arc<ConnectionSlot>,
    shutdown: CancellationToken,
}

impl Connection {
    async fn serve(self, router: Router, limiter: Arc<Limiter>) {
        let limits = limiter.limits();
        // Without the second one, who does not read an answer could keep it in memory for ever.
        let socket = SockRef::from(&self.stream);
        let set = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_user_timeout(Some(limits.request_time)));
        if let Err(error) = set {
            tracing::debug!(%error, "A connection's options could not be set");
        }
        let (peer, slot) = (self.peer, Arc::clone(&self.slot));
        let inbound = Arc::<Inbound>::default();
        let stream = CountedStream { stream: self.stream, inbound: Arc::clone(&inbound) };
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(Arc::clone(&slot));
            request.extensions_mut().insert(Arc::clone(&inbound));
            router.call(request).map(|response: Result<Response, Infallible>| response)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle_time)
            .max_buf_size(READ_BUFFER)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let mut shutdown = pin!(self.shutdown.cancelled().fuse());
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, peer = %self.peer, "A connection failed");
                    }
                    return;
                }
                () = self.slot.evicted() => return,
                () = &mut shutdown => connection.as_mut().graceful_shutdown(),
            }
        }
    }
}
