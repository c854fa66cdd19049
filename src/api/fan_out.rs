//! One execution for all who want the same. Subscribers to a project's events or to a service who sent the same document with
//! the same variables and have the same rights hear the same bytes, which are executed and written once.
//!
//! Each subscriber is executed by itself at first, with all that is checked then, until it has been told all that there is.
//! Then it joins the broadcast of those who want the same, at exactly the place where it is. Who can't keep up leaves it,
//! catches up by itself, and joins again: nobody waits for anybody. What fails is not shared, for errors are their reader's
//! own.

use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_graphql::parser::types::{ExecutableDocument, Field, OperationType, Selection};
use async_graphql::{Name, Request, Value, Variables};
use tokio::runtime::Handle;

use super::documents::operation::selected;
use super::{ExecutionPermit, Identity, RequestId, Schema};
use crate::domain::id::ProjectId;
use crate::domain::permission::{Permission, Principal, Projects};

mod broadcast;
mod pursuit;

pub use broadcast::{Heard, Listener, Payload};
pub use pursuit::{Pursuit, Subscriber};

use broadcast::Broadcast;

/// What is the same for all who listen to it, whenever they came.
const SHARED: [&str; 2] = ["serviceEvents", "serviceChanged"];

/// Where such a subscription begins, which matters to nobody once it has caught up.
const BEGINNING: &str = "after";

/// The broadcasts that somebody listens to.
#[derive(Default)]
pub struct FanOut {
    broadcasts: Mutex<HashMap<Arc<Topic>, Weak<Broadcast>>>,
    executed: AtomicU64,
}

/// What subscribers want, and may see. Two topics are the same where the answers are, byte for byte: the text of the document
/// counts as it is, for errors name places in it.
pub struct Topic {
    query: String,
    operation_name: Option<String>,
    variables: Variables,
    /// The variables that count, as JSON.
    counted: String,
    rights: Rights,
    /// One of those who want it, as far as answers depend on it.
    viewer: Principal,
}

#[derive(PartialEq, Eq, Hash)]
struct Rights {
    /// None for all of them.
    projects: Option<BTreeSet<ProjectId>>,
    permissions: [bool; 2],
}

impl Rights {
    fn of(viewer: &Principal) -> Self {
        let projects = match &viewer.projects {
            Projects::All => None,
            Projects::Listed(projects) => Some(projects.iter().cloned().collect()),
        };
        let permissions = [Permission::ProjectSettings, Permission::ProjectDelete];
        Self { projects, permissions: permissions.map(|permission| viewer.has(permission)) }
    }
}

impl Topic {
    fn key(&self) -> (&str, Option<&str>, &str, &Rights) {
        (&self.query, self.operation_name.as_deref(), &self.counted, &self.rights)
    }

    /// What `request` wants for `identity`; None where no other can want the same.
    pub fn of(request: &mut Request, identity: &Identity) -> Option<Self> {
        let Identity::Known(viewer) = identity else { return None };
        let operation_name = request.operation_name.clone();
        let document = request.parsed_query().ok()?;
        let field = root_field(document, operation_name.as_deref())?;
        let beginning = field.get_argument(BEGINNING);
        let beginning = beginning.and_then(|value| value.node.clone().into_const_with(Err::<Value, Name>).err());
        let mut counted = request.variables.clone();
        if let Some(name) = beginning
            && is_used_once(&request.query, &name)
        {
            counted.remove(&name);
        }
        Some(Self {
            query: request.query.clone(),
            operation_name,
            counted: serde_json::to_string(&counted).ok()?,
            variables: request.variables.clone(),
            rights: Rights::of(viewer),
            viewer: viewer.clone(),
        })
    }

    /// It again, to be executed from some place on.
    pub fn request(&self) -> Request {
        let mut request = Request::new(self.query.clone()).variables(self.variables.clone());
        request.operation_name.clone_from(&self.operation_name);
        request
    }

    /// Whoever executes it for all: somebody of the same rights, whose token does not expire.
    fn reader(&self) -> Identity {
        Identity::Known(Principal { expires_at: jiff::Timestamp::MAX, ..self.viewer.clone() })
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Topic {}

impl Hash for Topic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// The one field of a subscription whose answers can be shared, where it stands at its root and in no fragment.
fn root_field<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a Field> {
    let operation = selected(document, name).filter(|operation| operation.ty == OperationType::Subscription)?;
    match operation.selection_set.node.items.as_slice() {
        [selection] => match &selection.node {
            Selection::Field(field) if SHARED.contains(&field.node.name.node.as_str()) => Some(&field.node),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a variable stands in the text where it is declared and in one other place.
fn is_used_once(query: &str, name: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut rests = query.split('$').skip(1).map(str::trim_start).filter_map(|rest| rest.strip_prefix(name));
    rests.by_ref().filter(|rest| !rest.starts_with(is_part)).count() == 2
}

/// Who wants to listen: from where on, and how.
pub struct Wish {
    pub topic: Arc<Topic>,
    /// What was told already.
    pub position: i64,
    /// Its caller's.
    pub permit: ExecutionPermit,
    /// Takes what is told if there is room for it, and gives it back otherwise.
    pub direct: Arc<dyn Fn(Payload) -> Result<(), Payload> + Send + Sync>,
}

/// How a broadcast is executed.
pub struct Reading<'a> {
    pub schema: &'a Schema,
    pub executor: &'a Handle,
    /// What the log names it by.
    pub id: RequestId,
    pub write: fn(&async_graphql::Response) -> String,
}

impl FanOut {
    /// Joins those who want the same, or is the first of them. None where these are further on by now: catch up and come back.
    pub fn join(self: &Arc<Self>, wish: Wish, reading: Reading<'_>) -> Option<Listener> {
        let mut wish = wish;
        // Dropped after the lock, for it may be the last that holds the broadcast, whose end needs that.
        let found;
        let mut broadcasts = self.broadcasts();
        found = broadcasts.get(&wish.topic).and_then(Weak::upgrade);
        if let Some(broadcast) = &found {
            match broadcast.listen(wish) {
                Ok(joined) => return joined,
                Err(given_back) => wish = given_back,
            }
        }
        let topic = Arc::clone(&wish.topic);
        let broadcast = Arc::new(Broadcast::new(Arc::clone(&topic), wish.position, Arc::downgrade(self)));
        broadcasts.insert(topic, Arc::downgrade(&broadcast));
        let joined = broadcast.listen(wish).ok().flatten();
        drop(broadcasts);
        broadcast.begin(reading);
        joined
    }

    /// How many listen to each broadcast, in no order.
    pub fn listeners(&self) -> Vec<usize> {
        let broadcasts: Vec<_> = self.broadcasts().values().filter_map(Weak::upgrade).collect();
        broadcasts.iter().map(|broadcast| broadcast.listeners()).collect()
    }

    /// How often something was executed for all who listen to a broadcast.
    pub fn executed(&self) -> u64 {
        self.executed.load(Ordering::Relaxed)
    }

    fn end(&self, topic: &Arc<Topic>) {
        let mut broadcasts = self.broadcasts();
        if broadcasts.get(topic).is_some_and(|broadcast| broadcast.strong_count() == 0) {
            broadcasts.remove(topic);
        }
    }

    fn broadcasts(&self) -> MutexGuard<'_, HashMap<Arc<Topic>, Weak<Broadcast>>> {
        self.broadcasts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(query: &str, after: &str, permissions: &[&str]) -> Option<Topic> {
        let variables = serde_json::json!({"after": after, "id": "1"});
        let mut request = Request::new(query).variables(Variables::from_json(variables));
        let viewer = Principal {
            subject: after.to_owned(),
            projects: Projects::Listed(vec!["demo".parse().unwrap()]),
            permissions: permissions.iter().map(|&permission| permission.to_owned()).collect(),
            expires_at: jiff::Timestamp::UNIX_EPOCH,
        };
        Topic::of(&mut request, &Identity::Known(viewer))
    }

    fn are_same(query: &str, permissions: [&[&str]; 2]) -> bool {
        topic(query, "1", permissions[0]) == topic(query, "2", permissions[1])
    }

    #[test]
    fn where_one_begins_does_not_matter_unless_it_is_asked_for_elsewhere() {
        let events = "subscription($ after: String) { serviceEvents(projectId: \"demo\", after: $after) { cursor } }";
        let nested = "subscription($after: String) { serviceEvents(projectId: \"demo\", after: $after) { \
                      service { events(after: $after) { nodes { cursor } } } } }";
        let other = "subscription($after: ID!) { serviceChanged(id: $after) { id } }";
        assert_eq!([events, nested, other].map(|query| are_same(query, [&[], &[]])), [true, false, false]);
    }

    #[test]
    fn rights_matter_and_unknown_ones_do_not() {
        let events = "subscription { serviceEvents(projectId: \"demo\") { cursor } }";
        let query = "subscription($after: String) { serviceEvents(projectId: \"demo\", after: $after) { cursor } }";
        assert!(are_same(query, [&["project:settings", "else"], &["project:settings"]]));
        assert!(!are_same(query, [&["project:settings"], &["project:delete"]]));
        assert!(topic(events, "1", &[]) != topic(query, "1", &[]));
    }

    #[test]
    fn only_what_is_the_same_for_all_is_shared() {
        for query in [
            "subscription { serviceLogs(id: \"1\") { text } }",
            "subscription { ...f } fragment f on Subscription { serviceEvents(projectId: \"demo\") { cursor } }",
            "query { serviceEvents { cursor } }",
            "nonsense",
        ] {
            assert!(topic(query, "1", &[]).is_none(), "{query}");
        }
    }
}
