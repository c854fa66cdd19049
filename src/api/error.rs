//! What clients read when something fails: the one mapping from errors to codes.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Enum, ErrorExtensionValues, Response, ServerError, Value};

use crate::app::AppError;
use crate::causes;
use crate::domain::lifecycle::InvalidState;

/// What went wrong: the value of `extensions.code`, which every error has. Decide by it, never by the message.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(name = "ErrorCode")]
pub enum Code {
    /// No token was sent, or one that is not valid or has expired. Get a new one and send the request again.
    Unauthenticated,
    /// The token lacks a permission, which `extensions.permission` names.
    Forbidden,
    /// There is no such service or project, or it is not yours to see. `extensions.field` names the argument.
    NotFound,
    /// A value is not what it has to be. `extensions.field` names the argument or input field, or the part of the request.
    BadUserInput,
    /// The action is not possible in the service's state; `extensions.state` is that state, and `extensions.allowedStates`
    /// those in which it is.
    InvalidState,
    /// What is there stands against what is asked for: something else has the name, or more is stored than the size holds.
    /// `extensions.field` names the argument or input field.
    Conflict,
    /// Events behind the cursor are not kept any more: read the services anew, and go on from their `eventCursor`.
    CursorExpired,
    /// The project has as many services as it may have, `extensions.maximum`: destroy one first. See `Project.usage`. Or no
    /// node has enough left of what `extensions.lacks` names: take a smaller size, or ask whoever runs the platform.
    QuotaExceeded,
    /// Too many requests or subscriptions; where it says `extensions.retryAfter`, try again after so many seconds.
    RateLimited,
    /// The server can't do it now; try again in a moment. What a mutation asks for may have happened: send it again with
    /// the same idempotency key, or look.
    Unavailable,
    /// The server failed; its operator finds the cause in the log under `extensions.requestId`.
    InternalServerError,
    /// The document is no GraphQL.
    GraphqlParseFailed,
    /// The document does not fit the schema, or asks for too much; then `extensions.limit` and `extensions.maximum` say of
    /// what.
    GraphqlValidationFailed,
}

impl Code {
    pub const ALL: &[Self] = &[
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::BadUserInput,
        Self::InvalidState,
        Self::Conflict,
        Self::CursorExpired,
        Self::QuotaExceeded,
        Self::RateLimited,
        Self::Unavailable,
        Self::InternalServerError,
        Self::GraphqlParseFailed,
        Self::GraphqlValidationFailed,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::InvalidState => "INVALID_STATE",
            Self::Conflict => "CONFLICT",
            Self::CursorExpired => "CURSOR_EXPIRED",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::RateLimited => "RATE_LIMITED",
            Self::Unavailable => "UNAVAILABLE",
            Self::InternalServerError => "INTERNAL_SERVER_ERROR",
            Self::GraphqlParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
        }
    }
}

/// An error as a client reads it.
///
/// It has no Display on purpose: async-graphql turns whatever has one into an error without a code, so with one `?` on a
/// foreign error could compile in a resolver and publish its text.
#[derive(Debug, Clone)]
pub struct Error {
    code: Code,
    message: String,
    details: Vec<(&'static str, Value)>,
    /// For the log only.
    cause: Option<Cause>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a client must not read. It travels in the error's source until it is logged.
#[derive(Debug, Clone)]
pub(super) struct Cause(Arc<dyn StdError + Send + Sync>);

impl Cause {
    /// The error and what caused it, outermost first.
    pub fn chain(&self) -> String {
        causes::line(&*self.0)
    }
}

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), cause: None }
    }

    /// `field` is the argument, the input field or the part of the request that is wrong.
    pub fn bad_input(field: &str, message: impl Into<String>) -> Self {
        Self::new(Code::BadUserInput, message).with("field", field)
    }

    /// `reason` is a clause, such as "the token is expired".
    pub fn unauthenticated(reason: &str) -> Self {
        Self::new(Code::Unauthenticated, format!("Not authenticated: {reason}."))
    }

    /// `after` is when it is worth another try; the client reads it in whole seconds.
    pub fn rate_limited(whose: &str, after: Duration) -> Self {
        let seconds = retry_seconds(after);
        Self::new(Code::RateLimited, format!("Too many requests of {whose}; try again in {seconds} s."))
            .with("retryAfter", seconds)
    }

    /// The server has no memory left for the request; `after` as with [`Self::rate_limited`].
    pub fn overloaded(after: Duration) -> Self {
        let seconds = retry_seconds(after);
        Self::new(Code::Unavailable, format!("The server has too much under way; try again in {seconds} s."))
            .with("retryAfter", seconds)
    }

    pub fn timed_out() -> Self {
        Self::new(Code::Unavailable, "The request took too long and was broken off; what it changes may have happened.")
    }

    pub fn internal() -> Self {
        Self::new(Code::InternalServerError, "Internal server error")
    }

    /// The error as a whole response, for where no operation is executed.
    pub fn into_response(self) -> Response {
        Response::from_errors(vec![self.into_server_error()])
    }

    pub(super) fn into_server_error(self) -> ServerError {
        let error = async_graphql::Error::from(self);
        let mut server_error = ServerError::new(error.message, None);
        server_error.source = error.source;
        server_error.extensions = error.extensions;
        server_error
    }

    pub(super) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.details.push((key, value.into()));
        self
    }

    fn caused_by(mut self, cause: Box<dyn StdError + Send + Sync>) -> Self {
        self.cause = Some(Cause(Arc::from(cause)));
        self
    }
}

/// Whole seconds, never too few.
pub fn retry_seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0)
}

impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", error.code.as_str());
        for (key, value) in error.details {
            extensions.set(key, value);
        }
        let mut converted = Self::new(error.message);
        converted.extensions = Some(extensions);
        converted.source = error.cause.map(|cause| Arc::new(cause) as _);
        converted
    }
}

impl From<AppError> for Error {
    fn from(error: AppError) -> Self {
        match error {
            AppError::NotFound(what) => {
                let field = if what == "project" { "projectId" } else { "id" };
                Self::new(Code::NotFound, format!("There is no such {what}, or it is not yours to see."))
                    .with("field", field)
            }
            AppError::Forbidden(permission) => {
                Self::new(Code::Forbidden, format!("Your token lacks the permission {permission}."))
                    .with("permission", permission.as_str())
            }
            AppError::BadInput { field, message } => Self::bad_input(field, message),
            AppError::InvalidState(invalid) => invalid_state(invalid),
            AppError::NotSupported { kind, action } => {
                Self::new(Code::InvalidState, format!("{action} is not possible with services of the kind {kind}."))
            }
            AppError::NotUnderstood => Self::new(
                Code::InvalidState,
                "A newer version of the server works on this service, and this one leaves it alone; try again in a moment.",
            ),
            AppError::Conflict { field, message } => Self::new(Code::Conflict, message).with("field", field),
            AppError::CursorExpired => Self::new(
                Code::CursorExpired,
                "Events behind this cursor are not kept any more; read the services anew and go on from there.",
            )
            .with("field", "after"),
            AppError::QuotaExceeded { most } => Self::new(
                Code::QuotaExceeded,
                format!("The project has {most} services, which is the most; destroy one first."),
            )
            .with("maximum", most),
            AppError::NoRoom { what } => {
                let message = format!("No node that it might go to has enough {what} left for this size.");
                Self::new(Code::QuotaExceeded, message).with("lacks", what)
            }
            AppError::NoNode => Self::new(
                Code::Unavailable,
                "No node takes it now: each is cordoned, does not answer, or lacks the labels that the operator asks for.",
            ),
            AppError::Unavailable(cause) => {
                Self::new(Code::Unavailable, "The server's database can't be reached; try again in a moment.")
                    .caused_by(cause)
            }
            AppError::OutOfOrder { why, cause } => {
                Self::new(Code::Unavailable, format!("The server's database needs its operator: {why}."))
                    .caused_by(cause)
            }
            AppError::Unanswered { why, cause } => {
                let error = Self::new(
                    Code::Unavailable,
                    format!("The service can't be asked now: {why}. Try again in a moment."),
                );
                match cause {
                    Some(cause) => error.caused_by(cause),
                    None => error,
                }
            }
            AppError::Crowded { whose, most } => {
                let message = format!("{most} questions are put to {whose} already; try again in a moment.");
                Self::new(Code::RateLimited, message).with("maximum", most).with("retryAfter", 1)
            }
            AppError::Busy(cause) => Self::new(
                Code::Unavailable,
                "Others are changing what this needs; nothing was changed. Try again in a moment.",
            )
            .caused_by(cause),
            AppError::Internal(cause) => Self::internal().caused_by(cause),
        }
    }
}

fn invalid_state(InvalidState { action, state }: InvalidState) -> Error {
    let allowed: Vec<&str> = action.allowed_in().iter().map(|state| state.as_str()).collect();
    let message =
        format!("{action} is not possible while the service is {state}, only while it is {}.", allowed.join(" or "));
    let allowed = allowed.into_iter().map(Value::from).collect();
    Error::new(Code::InvalidState, message).with("state", state.as_str()).with("allowedStates", Value::List(allowed))
}
