//! A caller with a good token who asks for the whole schema over many connections at once, again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::task::JoinSet;

use super::eventually;
use super::server::Server;

/// How many of its questions stand in line at any time.
pub const CONNECTIONS: usize = 1000;

const QUERY: &str = include_str!("../../it/introspection.graphql");

/// Asks until it is dropped. The server has to allow introspection.
pub struct Greedy {
    _connections: JoinSet<()>,
    answers: Arc<AtomicUsize>,
}

impl Greedy {
    pub fn new(server: &Server) -> Self {
        let (client, url) = (reqwest::Client::new(), format!("http://{}/graphql", server.address));
        let token = server.token_of("greedy", &[]);
        let answers = Arc::<AtomicUsize>::default();
        let ask = || {
            let query = client.post(&url).bearer_auth(&token).json(&json!({"query": QUERY}));
            let answers = Arc::clone(&answers);
            async move {
                loop {
                    let answered = query.try_clone().unwrap().send().await.unwrap().bytes().await.unwrap();
                    assert!(answered.len() > 10_000, "{answered:?}");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let connections = (0..CONNECTIONS).map(|_| ask()).collect();
        Self { _connections: connections, answers }
    }

    /// How many answers it has got.
    pub fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Waits for another `count` answers.
    pub async fn answered(&self, count: usize) {
        let before = self.answers();
        eventually("answers to the greedy one", async || (self.answers() >= before + count).then_some(())).await;
    }
}
