//! Lists of objects of which nothing is asked for that has to be waited for. They are written as JSON at once, as their
//! objects come: the library has a future, a key and a value of its own for each field of each object, which together take
//! longer than the database does.
//!
//! Only where [`AtOnce`] is, and what has no directives: extensions and directives want to see each field.

use std::borrow::Cow;
use std::io::Write as _;

use async_graphql::parser::types::{Field, Selection};
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::EnumType as _;
use async_graphql::{Context, ContextSelectionSet, ID, OutputType, Positioned, ServerResult, Value};

use super::date_time::DateTime;
use super::enums::{ServiceKind, ServiceState};

/// Data of a schema without extensions, whose lists may be written at once.
pub struct AtOnce;

/// An object some of whose fields are known as soon as it is.
pub trait Plain: Sized {
    /// What writes the field of that name as JSON; None of one that has to be waited for, or has fields of its own.
    fn writer(field: &str) -> Option<Writer<Self>>;
}

pub type Writer<T> = fn(&T, &Context<'_>, &mut Vec<u8>);

/// The objects of a list.
pub struct List<'a, T>(pub &'a [T]);

impl<T: Plain + OutputType> OutputType for List<'_, T> {
    fn type_name() -> Cow<'static, str> {
        <&[T]>::type_name()
    }

    fn qualified_type_name() -> String {
        <&[T]>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <&[T]>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let mut members = Vec::new();
        if gather(ctx, &mut members).is_none() {
            return self.0.resolve(ctx, field).await;
        }
        let json = write(self.0, &members, &ctx.with_field(field));
        // The only values of this kind; who writes an answer takes them for JSON.
        Ok(Value::Binary(json.into()))
    }
}

/// What each object of a list shows under one key.
struct Member<'a, T> {
    key: &'a str,
    /// None of `__typename`.
    writer: Option<Writer<T>>,
}

/// Adds the members that a selection has, in their order. None where one of them is not plain.
fn gather<'a, T: Plain + OutputType>(ctx: &ContextSelectionSet<'a>, members: &mut Vec<Member<'a, T>>) -> Option<()> {
    ctx.data_opt::<AtOnce>()?;
    for selection in &ctx.item.node.items {
        if !selection.node.directives().is_empty() {
            return None;
        }
        let (condition, within) = match &selection.node {
            Selection::Field(Positioned { node: field, .. }) => {
                let (name, key) = (field.name.node.as_str(), field.response_key().node.as_str());
                let writer = if name == "__typename" { None } else { Some(T::writer(name)?) };
                // What is asked for twice under one key is the same, for the document is valid.
                if !members.iter().any(|member| member.key == key) {
                    members.push(Member { key, writer });
                }
                continue;
            }
            Selection::FragmentSpread(spread) => {
                let fragment = &ctx.query_env.fragments.get(&spread.node.fragment_name.node)?.node;
                (Some(&fragment.type_condition), &fragment.selection_set)
            }
            Selection::InlineFragment(fragment) => {
                (fragment.node.type_condition.as_ref(), &fragment.node.selection_set)
            }
        };
        if condition.is_some_and(|condition| *condition.node.on.node != *T::type_name()) {
            return None;
        }
        gather(&ctx.with_selection_set(within), members)?;
    }
    Some(())
}

fn write<T: OutputType>(objects: &[T], members: &[Member<'_, T>], ctx: &Context<'_>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (index, object) in objects.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        for (index, member) in members.iter().enumerate() {
            // A name has nothing in it that would have to be escaped.
            out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
            out.extend_from_slice(member.key.as_bytes());
            out.extend_from_slice(b"\":");
            match member.writer {
                Some(writer) => writer(object, ctx, &mut out),
                None => T::type_name().as_ref().put(&mut out),
            }
        }
        out.push(b'}');
    }
    out.push(b']');
    out
}

/// A value without fields, as it stands in an answer.
pub trait Leaf {
    fn put(&self, out: &mut Vec<u8>);
}

impl Leaf for str {
    fn put(&self, out: &mut Vec<u8>) {
        // Nothing can go wrong on the way into memory, here and below.
        let _ = serde_json::to_writer(out, self);
    }
}

impl<T: Leaf + ?Sized> Leaf for &T {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
}

impl<T: Leaf> Leaf for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.put(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl Leaf for String {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_str().put(out);
    }
}

impl Leaf for ID {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}

impl Leaf for DateTime {
    fn put(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "\"{}\"", self.0);
    }
}

/// What JSON writes as it is shown.
macro_rules! shown {
    ($($type:ty),*) => {$(
        impl Leaf for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let _ = write!(out, "{self}");
            }
        }
    )*};
}

shown!(bool, i64, u16);

/// Enums, whose values are names.
macro_rules! named {
    ($($type:ty),*) => {$(
        impl Leaf for $type {
            fn put(&self, out: &mut Vec<u8>) {
                Self::items().iter().find(|item| item.value == *self).map(|item| item.name).put(out);
            }
        }
    )*};
}

named!(ServiceKind, ServiceState);

/// The fields of an object that are known as soon as it is: those of these resolvers, which must not wait for anything.
macro_rules! plain {
    ($type:ty { $($name:literal => $resolver:ident,)+ }) => {
        impl $crate::api::types::list::Plain for $type {
            fn writer(field: &str) -> Option<$crate::api::types::list::Writer<Self>> {
                use $crate::api::types::list::Leaf as _;
                Some(match field {
                    $($name => |object, ctx, out| object.$resolver(ctx).put(out),)+
                    _ => return None,
                })
            }
        }
    };
}

pub(super) use plain;
