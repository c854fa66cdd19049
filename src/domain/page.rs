//! Parts of lists.

use super::id::{ProjectId, ServiceId};
use super::service::{ServiceKind, ServiceState};

/// Which services of a project to list, and in which order: those that meet every condition.
#[derive(Debug, Clone, Default)]
pub struct ServiceFilter {
    /// None: of every kind.
    pub kinds: Option<Vec<ServiceKind>>,
    /// None: in every state.
    pub states: Option<Vec<ServiceState>>,
    /// False: none that is DESTROYED, even where `states` names that state.
    pub include_destroyed: bool,
    /// None: of every name; otherwise those whose names contain it.
    pub name_contains: Option<String>,
    pub order: ServiceOrder,
}

/// The order in which to list services. Those of one name, all of them destroyed but one, are in the order of their creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServiceOrder {
    #[default]
    Created,
    CreatedLast,
    Name,
    NameLast,
}

impl ServiceOrder {
    pub fn is_descending(self) -> bool {
        matches!(self, Self::CreatedLast | Self::NameLast)
    }

    pub fn is_by_name(self) -> bool {
        matches!(self, Self::Name | Self::NameLast)
    }
}

/// Whose backups to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupsOf {
    Service(ServiceId),
    /// All of a project's services, destroyed ones included.
    Project(ProjectId),
}

/// A part of a list, by the position of what comes before and after it. The list is sorted by position, and so is what
/// comes back, also where the part is counted from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Page<P> {
    /// Only what comes behind it.
    pub after: Option<P>,
    /// Only what comes ahead of it.
    pub before: Option<P>,
    /// How many, at the most.
    pub limit: u32,
    /// Counted from the end of the list instead of from its beginning.
    pub from_end: bool,
}

/// A page's rows, and whether there are more on the side that was counted towards.
#[derive(Debug, Clone)]
pub struct Slice<T> {
    pub rows: Vec<T>,
    pub has_more: bool,
}
