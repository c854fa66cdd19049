//! PostgreSQL's LISTEN and NOTIFY: how replicas hear of each other's commits. What is missed costs time only.

use std::time::Duration;

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Notice;
use crate::domain::id::{ProjectId, ServiceId};

pub const CHANNEL: &str = "project_services";

/// Between a connection that was lost or refused and the next try.
const PAUSE: Duration = Duration::from_millis(500);

/// Notices that may wait to be taken; more are dropped, and what they told of is found a little later.
const WAITING: usize = 1024;

pub fn payload(project: &ProjectId, service: ServiceId) -> String {
    format!("{project} {service}")
}

fn parse(payload: &str) -> Option<Notice> {
    let (project, service) = payload.split_once(' ')?;
    Some(Notice::Changed { project: project.parse().ok()?, service: service.parse().ok()? })
}

/// What the others change, on a connection that is made anew whenever it is lost.
pub fn notices(config: Config, tls: MakeRustlsConnect) -> impl Stream<Item = Notice> {
    async_stream::stream! {
        loop {
            match follow(&config, tls.clone()).await {
                Ok(mut following) => {
                    yield Notice::Connected;
                    while let Some(notice) = following.notices.recv().await {
                        yield notice;
                    }
                    tracing::info!("The connection that tells of other replicas' changes was lost");
                }
                Err(error) => tracing::debug!(%error, "Other replicas' changes can't be followed"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

struct Following {
    notices: mpsc::Receiver<Notice>,
    /// The connection lasts as long as its client.
    _client: Client,
}

async fn follow(config: &Config, tls: MakeRustlsConnect) -> Result<Following, tokio_postgres::Error> {
    let (client, mut connection) = config.connect(tls).await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        loop {
            let message = tokio::select! {
                message = std::future::poll_fn(|cx| connection.poll_message(cx)) => message,
                () = sender.closed() => return,
            };
            match message {
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    if let Some(notice) = parse(notification.payload()) {
                        let _ = sender.try_send(notice);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    });
    client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
    Ok(Following { notices: receiver, _client: client })
}
