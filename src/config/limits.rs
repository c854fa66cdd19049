//! What clients may take of a server.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use super::seconds;
use crate::{api, http};

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Lexical tokens of a GraphQL document.
    #[arg(long, env = "QUERY_TOKENS", default_value = "2000", value_parser = count)]
    pub query_tokens: usize,
    /// Fields within fields; up to 30. GraphiQL's introspection takes 15.
    #[arg(long, env = "QUERY_DEPTH", default_value = "20", value_parser = depth)]
    pub query_depth: usize,
    /// What a document's fields cost: one each, and for each item of the lists that they are in.
    #[arg(long, env = "QUERY_COMPLEXITY", default_value = "10000", value_parser = count)]
    pub query_complexity: usize,
    /// Aliases in an operation.
    #[arg(long, env = "QUERY_ALIASES", default_value = "50", value_parser = count)]
    pub query_aliases: usize,
    /// Fields at the root of an operation.
    #[arg(long, env = "QUERY_ROOT_FIELDS", default_value = "20", value_parser = count)]
    pub query_root_fields: usize,
    /// Directives in an operation.
    #[arg(long, env = "QUERY_DIRECTIVES", default_value = "50", value_parser = count)]
    pub query_directives: usize,
    /// Requests in one body; 1 switches batches off.
    #[arg(long, env = "BATCH_LIMIT", default_value = "1", value_parser = count)]
    pub batch_limit: usize,
    /// The largest request body and the largest WebSocket message, in bytes.
    #[arg(long, env = "MAX_BODY", default_value = "1048576", value_parser = count)]
    pub max_body: usize,
    /// Bytes of requests and WebSocket messages that are kept at once, until they are executed; at least two of MAX_BODY.
    #[arg(long, env = "BUFFERED_BODIES", default_value = "67108864", value_parser = count)]
    pub buffered_bodies: usize,
    /// How long a request may take to come in, and again to be executed, in seconds.
    #[arg(long, env = "REQUEST_TIMEOUT", default_value = "30", value_parser = seconds)]
    pub request_timeout: Duration,
    /// How long a connection may be without a request, in seconds.
    #[arg(long, env = "IDLE_TIMEOUT", default_value = "75", value_parser = seconds)]
    pub idle_timeout: Duration,
    /// Connections at once, besides WebSockets.
    #[arg(long, env = "MAX_CONNECTIONS", default_value = "4096", value_parser = count)]
    pub max_connections: usize,
    /// WebSockets at once.
    #[arg(long, env = "MAX_WEBSOCKETS", default_value = "2048", value_parser = count)]
    pub max_websockets: usize,
    /// Root fields of operations a minute of one subject; so many may also come at once.
    #[arg(long, env = "RATE_LIMIT_SUBJECT", default_value = "6000")]
    pub rate_limit_subject: NonZeroU32,
    /// The same without a valid token from one address, and probes of its besides.
    #[arg(long, env = "RATE_LIMIT_ADDRESS", default_value = "600")]
    pub rate_limit_address: NonZeroU32,
    /// Operations of one subject that are executed at once, and of those without a valid token of one address.
    #[arg(long, env = "EXECUTIONS_PER_CALLER", default_value = "4", value_parser = count)]
    pub executions_per_caller: usize,
    /// Addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas.
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Operations at once on one WebSocket.
    #[arg(long, env = "SUBSCRIPTIONS_PER_CONNECTION", default_value = "100", value_parser = count)]
    pub subscriptions_per_connection: usize,
    /// Subscriptions at once of one subject.
    #[arg(long, env = "SUBSCRIPTIONS_PER_SUBJECT", default_value = "200", value_parser = count)]
    pub subscriptions_per_subject: usize,
    /// Subscriptions at once of everybody.
    #[arg(long, env = "MAX_SUBSCRIPTIONS", default_value = "5000", value_parser = count)]
    pub max_subscriptions: usize,
    /// From a WebSocket's opening to its connection_init, in seconds.
    #[arg(long, env = "INIT_TIMEOUT", default_value = "10", value_parser = seconds)]
    pub init_timeout: Duration,
    /// From one ping of a WebSocket to the next, in seconds.
    #[arg(long, env = "PING_INTERVAL", default_value = "20", value_parser = seconds)]
    pub ping_interval: Duration,
    /// For a WebSocket's pong, and for its client to take a message, in seconds.
    #[arg(long, env = "PONG_TIMEOUT", default_value = "10", value_parser = seconds)]
    pub pong_timeout: Duration,
    /// Services of a project that are not destroyed.
    #[arg(long, env = "SERVICES_PER_PROJECT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub services_per_project: u32,
    /// Whether clients may ask for the schema; with --dev only when left out.
    #[arg(long, env = "INTROSPECTION")]
    pub introspection: Option<bool>,
    /// Whether browsers get GraphiQL; with --dev only when left out.
    #[arg(long, env = "GRAPHIQL")]
    pub graphiql: Option<bool>,
    /// Whether the dashboard asks for a token where no page embeds it; with --dev only when left out.
    #[arg(long, env = "TOKEN_FIELD")]
    pub token_field: Option<bool>,
}

impl LimitArgs {
    pub fn of_requests(&self, dev: bool) -> api::Limits {
        api::Limits {
            tokens: self.query_tokens,
            depth: self.query_depth,
            complexity: self.query_complexity,
            aliases: self.query_aliases,
            root_fields: self.query_root_fields,
            directives: self.query_directives,
            subscriptions: self.max_subscriptions,
            subscriptions_per_subject: self.subscriptions_per_subject,
            root_fields_per_minute: self.rate_limit_subject.get(),
            introspection: self.introspection.unwrap_or(dev),
        }
    }

    pub fn of_the_wire(&self, dev: bool) -> http::Limits {
        http::Limits {
            body: self.max_body,
            buffered_bodies: self.buffered_bodies,
            batch: self.batch_limit,
            request_time: self.request_timeout,
            idle_time: self.idle_timeout,
            connections: self.max_connections,
            websockets: self.max_websockets,
            subject_rate: self.rate_limit_subject,
            address_rate: self.rate_limit_address,
            executions: self.executions_per_caller,
            trusted_proxies: self.trusted_proxies.clone(),
            graphiql: self.graphiql.unwrap_or(dev),
            token_field: self.token_field.unwrap_or(dev),
        }
    }

    pub fn of_a_socket(&self) -> http::SocketLimits {
        http::SocketLimits {
            init_timeout: self.init_timeout,
            ping_interval: self.ping_interval,
            patience: self.pong_timeout,
            operations: self.subscriptions_per_connection,
        }
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1_000_000_000) => Ok(count),
        _ => Err("a whole number from 1 to 1000000000".to_owned()),
    }
}

/// What is deeper is refused anyway, for the sake of the stack.
fn depth(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(depth @ 1..=30) => Ok(depth),
        _ => Err("a whole number from 1 to 30".to_owned()),
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| "an address or a network such as 10.0.0.0/8".to_owned())
}
