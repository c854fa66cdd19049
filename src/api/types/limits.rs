//! What there may be at most.

use async_graphql::SimpleObject;

use super::page::{DEFAULT_SIZE, MAX_SIZE};
use super::service_connection::MAX_FILTER_ITEMS;
use crate::api;

/// What you may ask for at most, so that a page can say so before it is refused.
#[derive(SimpleObject)]
pub struct Limits {
    /// Services of a project that are not destroyed; `Project.usage` says how many there are.
    services_per_project: u32,
    /// Items of a page when neither `first` nor `last` is given.
    default_page_size: i32,
    /// Items of a page.
    maximum_page_size: i32,
    /// Items of a list in a filter.
    filter_items: usize,
    /// Root fields a minute of everything that you ask for; so many may also come at once.
    root_fields_per_minute: u32,
    /// Root fields of one operation.
    root_fields: usize,
    /// Subscriptions of yours that are open at once.
    subscriptions: usize,
    /// What an operation's fields may cost: one each, and again for each item of the lists that they are in.
    complexity: usize,
    /// Fields within fields.
    depth: usize,
    /// Lexical tokens of a document.
    tokens: usize,
}

impl Limits {
    pub fn new(limits: &api::Limits, services_per_project: u32) -> Self {
        Self {
            services_per_project,
            default_page_size: DEFAULT_SIZE,
            maximum_page_size: MAX_SIZE,
            filter_items: MAX_FILTER_ITEMS,
            root_fields_per_minute: limits.root_fields_per_minute,
            root_fields: limits.root_fields,
            subscriptions: limits.subscriptions_per_subject,
            complexity: limits.complexity,
            depth: limits.depth,
            tokens: limits.tokens,
        }
    }
}
