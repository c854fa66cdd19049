//! How stores are reached over HTTP: by the client and the TLS that this server has already, and within bounds of time.

use std::error::Error;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, Client, connect};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig};
use tokio::time::{Sleep, sleep, timeout};

use crate::tls;

/// For a connection to come about.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// For a store to answer, and for more of an answer to come.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);
/// The same for putting an object of many parts together, which takes stores minutes.
const COMPLETE_PATIENCE: Duration = Duration::from_secs(300);
/// Bytes a second that a store has to take at least.
const LEAST_RATE: u32 = 128 << 10;
/// How long a connection that nobody uses is kept; S3 closes it after about as long.
const IDLE_CONNECTION: Duration = Duration::from_secs(15);

/// How often and for how long is tried again: so short that one is soon told of a store that is away.
pub(super) fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(2),
            base: 2.,
        },
        max_retries: 10,
        retry_timeout: Duration::from_secs(10),
    }
}

/// Makes clients for object_store.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let in_clear = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        let failed =
            |error: rustls::Error| object_store::Error::Generic { store: "repository", source: Box::new(error) };
        let tls = tls::client(tls::system_roots()).map_err(failed)?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
        let builder = if in_clear { builder.https_or_http() } else { builder.https_only() };
        let mut tcp = connect::HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_PATIENCE));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .build(builder.enable_http1().wrap_connector(tcp));
        Ok(HttpClient::new(Service(client)))
    }
}

#[derive(Debug)]
struct Service(Client<HttpsConnector<connect::HttpConnector>, HttpRequestBody>);

#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs())]
struct TooLate(Duration);

impl TooLate {
    fn error(patience: Duration) -> HttpError {
        HttpError::new(HttpErrorKind::Timeout, Self(patience))
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let patience = patience(request.method(), request.body().content_length());
        let answered = timeout(patience, self.0.request(request)).await.map_err(|_| TooLate::error(patience))?;
        let (parts, body) = answered.map_err(not_sent)?.into_parts();
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(Timed { body, late: None })))
    }
}

fn patience(method: &Method, length: usize) -> Duration {
    if *method == Method::POST && length > 0 {
        return COMPLETE_PATIENCE;
    }
    let sending = u32::try_from(length / LEAST_RATE as usize).unwrap_or(u32::MAX);
    ANSWER_PATIENCE + Duration::from_secs(1) * sending
}

fn not_sent(error: legacy::Error) -> HttpError {
    let kind = if error.is_connect() { HttpErrorKind::Connect } else { kind(&error) };
    HttpError::new(kind, error)
}

/// As object_store tells them apart for its own client.
fn kind(error: &(dyn Error + 'static)) -> HttpErrorKind {
    for cause in std::iter::successors(Some(error), |&error| error.source()) {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            if error.is_timeout() {
                return HttpErrorKind::Timeout;
            }
            if error.is_closed() || error.is_canceled() {
                return HttpErrorKind::Request;
            }
            if error.is_incomplete_message() || error.is_body_write_aborted() {
                return HttpErrorKind::Interrupted;
            }
        }
        if let Some(error) = cause.downcast_ref::<std::io::Error>() {
            match error.kind() {
                ErrorKind::TimedOut => return HttpErrorKind::Timeout,
                ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionReset
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof => return HttpErrorKind::Interrupted,
                _ => {}
            }
        }
    }
    HttpErrorKind::Unknown
}

/// A body that ends in an error where nothing more of it comes. Time that its reader takes does not count.
struct Timed {
    body: Incoming,
    late: Option<Pin<Box<Sleep>>>,
}

impl Body for Timed {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.late = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| HttpError::new(kind(&error), error))));
        }
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(ANSWER_PATIENCE)));
        late.as_mut().poll(cx).map(|()| Some(Err(TooLate::error(ANSWER_PATIENCE))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_the_time_that_it_takes() {
        assert_eq!(patience(&Method::GET, 0), Duration::from_secs(20));
        assert_eq!(patience(&Method::PUT, 8 << 20), Duration::from_secs(20 + 64));
        assert_eq!(patience(&Method::POST, 100), Duration::from_secs(300));
    }
}
