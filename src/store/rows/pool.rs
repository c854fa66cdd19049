//! The rows of instances that are nobody's yet.

use diesel::prelude::*;

use crate::crypto::Sealed;
use crate::domain::Stored;
use crate::domain::id::InstanceId;
use crate::domain::node::NodeName;
use crate::domain::pool::{MemberState, PoolMember};
use crate::domain::service::{Published, ServiceKind, TierSpec};
use crate::store::schema::pool_members;
use crate::store::types::{Id, Instant, Json, Word};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = pool_members)]
pub struct PoolMemberRow {
    id: Id,
    kind: Word<ServiceKind>,
    version: String,
    tier: Json<TierSpec>,
    made_of: String,
    published: Option<Json<Published>>,
    state: Word<MemberState>,
    seen_in: i64,
    since: Instant,
    node: Word<NodeName>,
}

/// One that is about to be written for the first time.
#[derive(Insertable)]
#[diesel(table_name = pool_members)]
pub struct NewPoolMemberRow<'a> {
    #[diesel(embed)]
    member: PoolMemberRow,
    published_port: Option<i32>,
    sealed: &'a [u8],
    sealed_key_id: &'a str,
}

impl<'a> NewPoolMemberRow<'a> {
    pub fn new(member: &PoolMember, sealed: &'a Sealed) -> Self {
        Self {
            member: member.into(),
            published_port: member.published.map(|published| published.port.into()),
            sealed: sealed.as_bytes(),
            sealed_key_id: sealed.key_id(),
        }
    }
}

impl From<&PoolMember> for PoolMemberRow {
    fn from(member: &PoolMember) -> Self {
        Self {
            id: Id(member.id.0),
            kind: member.kind.into(),
            version: member.version.clone(),
            tier: member.tier.into(),
            made_of: member.made_of.clone(),
            published: member.published.map(Into::into),
            state: member.state.into(),
            seen_in: member.seen_in,
            since: member.since.into(),
            node: member.node.clone().into(),
        }
    }
}

impl From<PoolMemberRow> for PoolMember {
    fn from(row: PoolMemberRow) -> Self {
        Self {
            id: InstanceId(row.id.0),
            node: row.node.value,
            kind: row.kind.value,
            version: row.version,
            tier: row.tier.value,
            made_of: row.made_of,
            published: row.published.map(|json| json.value),
            state: row.state.value,
            seen_in: row.seen_in,
            since: row.since.into(),
        }
    }
}

impl Stored for Published {
    /// What is not understood is never taken.
    fn unknown(_: &str) -> Self {
        Self { address: std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), port: 0 }
    }
}
