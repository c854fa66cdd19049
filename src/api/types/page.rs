//! Relay's cursor connections (relay.dev/graphql/connections.htm).

use async_graphql::SimpleObject;

use crate::api::documents::limits::list_cost;
use crate::api::error::{Error, Result};
use crate::domain::page::Page;

/// How many a page holds when the client does not say.
pub const DEFAULT_SIZE: i32 = 20;

/// How many a page may hold.
pub const MAX_SIZE: i32 = 100;

/// What a page costs, by what each of its items does.
pub fn page_cost(first: Option<i32>, last: Option<i32>, each: usize) -> usize {
    let size = first.or(last).unwrap_or(DEFAULT_SIZE).clamp(1, MAX_SIZE);
    list_cost(size.unsigned_abs() as usize, each)
}

/// Where a page lies in its list.
#[derive(SimpleObject)]
pub struct PageInfo {
    /// Whether there is more behind this page.
    pub has_next_page: bool,
    /// Whether there is more ahead of this page.
    pub has_previous_page: bool,
    /// The cursor of the page's first item, to give to `before`; null when the page is empty.
    pub start_cursor: Option<String>,
    /// The cursor of the page's last item, to give to `after`; null when the page is empty.
    pub end_cursor: Option<String>,
}

/// The four arguments of a connection, as they came in.
pub struct PageArguments {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

impl PageArguments {
    /// `position` reads a cursor.
    pub fn parse<P>(self, position: impl Fn(&str) -> Option<P>) -> Result<Page<P>> {
        let cursor = |field, text: Option<String>| match text {
            None => Ok(None),
            Some(text) => position(&text)
                .map(Some)
                .ok_or_else(|| Error::bad_input(field, format!("The value of {field} is not a cursor of this list."))),
        };
        let (limit, from_end) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(Error::bad_input("last", "Give first or last, not both.")),
            (first, None) => (size("first", first.unwrap_or(DEFAULT_SIZE))?, false),
            (None, Some(last)) => (size("last", last)?, true),
        };
        Ok(Page { after: cursor("after", self.after)?, before: cursor("before", self.before)?, limit, from_end })
    }
}

fn size(field: &'static str, size: i32) -> Result<u32> {
    u32::try_from(size)
        .ok()
        .filter(|_| (1..=MAX_SIZE).contains(&size))
        .ok_or_else(|| Error::bad_input(field, format!("The value of {field} must be from 1 to {MAX_SIZE}.")))
}

/// A page of one row on the side that `page` was not counted towards, to see whether something is there. `first` and
/// `last` are the positions of the rows that were found. None when nothing can be there.
pub fn other_side<P: Copy>(page: &Page<P>, first: Option<P>, last: Option<P>) -> Option<Page<P>> {
    if page.from_end {
        page.before.map(|_| Page { after: last.or(page.after), before: None, limit: 1, from_end: false })
    } else {
        page.after.map(|_| Page { after: None, before: first.or(page.before), limit: 1, from_end: true })
    }
}

impl PageInfo {
    /// `has_more`: on the side that was counted towards; `has_other`: on the other one.
    pub fn new<P>(page: &Page<P>, has_more: bool, has_other: bool, cursors: (Option<String>, Option<String>)) -> Self {
        let (has_next_page, has_previous_page) =
            if page.from_end { (has_other, has_more) } else { (has_more, has_other) };
        Self { has_next_page, has_previous_page, start_cursor: cursors.0, end_cursor: cursors.1 }
    }
}
