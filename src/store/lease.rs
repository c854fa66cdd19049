//! A connection for the length of one call. Compiled once for each backend, like the queries.

use std::time::{Duration, Instant};

use diesel_async::pooled_connection::deadpool::Object;

use super::Conn;

/// A call may be dropped at any await, for instance when its client goes away, and its connection then has a transaction
/// open, with its locks. So a lease that ends without `give_back` throws its connection away, which rolls back.
pub struct Lease {
    connection: Option<Object<Conn>>,
    since: Instant,
}

impl Lease {
    pub fn new(connection: Object<Conn>) -> Self {
        Self { connection: Some(connection), since: Instant::now() }
    }

    pub fn connection(&mut self) -> &mut Conn {
        self.connection.as_mut().expect("a lease has its connection until it ends")
    }

    /// How long the call has had its connection.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Ends the lease with no transaction open.
    pub fn give_back(mut self) {
        self.connection = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}
