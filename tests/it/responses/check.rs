//! Compares a response with its document and the schema (GraphQL specification, sections 6.3, 6.4.4 and 7.1).

use std::collections::HashMap;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    BaseType, Directive, ExecutableDocument, Field, OperationType, Selection, SelectionSet, Type, TypeKind,
};
use async_graphql::{Name, Positioned, Value};

use super::document::{Schema, name};

type Outcome<T = ()> = Result<T, String>;

pub struct Checker<'a> {
    schema: &'a Schema,
    document: ExecutableDocument,
}

impl<'a> Checker<'a> {
    pub fn new(schema: &'a Schema, document: &str) -> Self {
        Self { schema, document: parse_query(document).unwrap() }
    }

    /// Whether something failed; None where nothing was executed.
    pub fn check(&self, answer: &str) -> Outcome<Option<bool>> {
        let Ok(Value::Object(answer)) = serde_json::from_str(answer) else { return Err("no object".to_owned()) };
        let errors = match answer.get("errors") {
            None => &Vec::new(),
            Some(Value::List(errors)) if !errors.is_empty() => errors,
            Some(other) => return Err(format!("errors are {other}")),
        };
        let Some(data) = answer.get("data") else {
            return if errors.is_empty() { Err("neither data nor errors".to_owned()) } else { Ok(None) };
        };
        let operation = &self.document.operations.iter().next().unwrap().1.node;
        let root = if operation.ty == OperationType::Mutation { "Mutation" } else { "Query" };
        let set = &operation.selection_set.node;
        match data {
            Value::Null if errors.is_empty() => return Err("no data, and no error".to_owned()),
            Value::Null => {}
            data => self.object(root, &[set], data, "data")?,
        }
        // A null may be one error's though others lie behind it, which would not have reached so far.
        let mut nulls = HashMap::new();
        for error in errors {
            let (place, reaches) = self.error(root, set, data, error)?;
            *nulls.entry(place).or_insert(false) |= reaches;
        }
        if let Some((place, _)) = nulls.iter().find(|(_, reached)| !**reached) {
            return Err(format!("no error reaches the null at {place:?}"));
        }
        Ok(Some(!errors.is_empty()))
    }

    /// A value that is selected from.
    fn object(&self, ty: &str, sets: &[&SelectionSet], value: &Value, at: &str) -> Outcome {
        let Value::Object(members) = value else { return Err(format!("{at} is no object")) };
        let runtime = match members.get("__typename") {
            Some(Value::String(name)) if self.schema.objects(ty).contains(&name.as_str()) => name.clone(),
            Some(other) => return Err(format!("{at} says that it is {other}")),
            None => ty.to_owned(),
        };
        let fields = self.collect(Some(&runtime), sets);
        let (wanted, found): (Vec<&str>, Vec<&str>) =
            (fields.keys().collect(), members.keys().map(Name::as_str).collect());
        if wanted != found {
            return Err(format!("{at} has {found:?} where {wanted:?} was asked for"));
        }
        for (key, fields) in fields.iter() {
            let value = &members[*key];
            let at = format!("{at}.{key}");
            let name = fields[0].name.node.as_str();
            if name == "__typename" {
                if *value != Value::String(runtime.clone()) {
                    return Err(format!("{at} is {value}"));
                }
                continue;
            }
            let sets: Vec<&SelectionSet> = fields.iter().map(|field| &field.selection_set.node).collect();
            self.value(&self.type_of(&runtime, name), &sets, value, &at)?;
        }
        Ok(())
    }

    fn value(&self, ty: &Type, sets: &[&SelectionSet], value: &Value, at: &str) -> Outcome {
        let fits = match (&ty.base, value) {
            (_, Value::Null) if ty.nullable => return Ok(()),
            (_, Value::Null) => false,
            (BaseType::List(item), Value::List(values)) => {
                let mut values = values.iter().enumerate();
                return values.try_for_each(|(index, value)| self.value(item, sets, value, &format!("{at}.{index}")));
            }
            (BaseType::List(_), _) => false,
            (BaseType::Named(name), value) => match (self.schema.kind(name), value) {
                (Some(TypeKind::Object(_) | TypeKind::Interface(_)), value) => {
                    return self.object(name, sets, value, at);
                }
                (Some(TypeKind::Enum(values)), Value::String(text)) => {
                    values.values.iter().any(|value| value.node.value.node == text.as_str())
                }
                (_, Value::String(text)) if name == "DateTime" => text.parse::<jiff::Timestamp>().is_ok(),
                (_, Value::String(_)) => matches!(name.as_str(), "String" | "ID"),
                (_, Value::Boolean(_)) => name == "Boolean",
                (_, Value::Number(number)) => match name.as_str() {
                    "Int" => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
                    name => name == "Float",
                },
                _ => false,
            },
        };
        if fits { Ok(()) } else { Err(format!("{at} of type {ty} is {value}")) }
    }

    /// An error leads to a null. Gives back where that is, and whether all between it and the error must not be null.
    fn error(&self, root: &str, set: &SelectionSet, data: &Value, error: &Value) -> Outcome<(Vec<String>, bool)> {
        let Value::Object(members) = error else { return Err(format!("an error is {error}")) };
        let Some(Value::List(path)) = members.get("path") else { return Err(format!("no path in {error}")) };
        let mut place = Some(data);
        let (mut types, mut sets) = (vec![root.to_owned()], vec![set]);
        let mut item: Option<Type> = None;
        let (mut null, mut reaches) = (Vec::new(), true);
        for segment in path {
            let is_beyond = place.is_none_or(|value| *value == Value::Null);
            let ty = match segment {
                Value::String(key) => {
                    let object = place.filter(|value| **value != Value::Null);
                    place = object.map(|value| match value {
                        Value::Object(members) => members.get(key.as_str()).unwrap_or(&Value::Boolean(false)),
                        _ => &Value::Boolean(false),
                    });
                    let fields = types.iter().find_map(|ty| {
                        let mut fields = self.collect(Some(ty), &sets);
                        fields.take(key).map(|fields| (ty.clone(), fields))
                    });
                    let Some((parent, fields)) = fields else {
                        return Err(format!("{key} of {error} is not asked for"));
                    };
                    let ty = self.type_of(&parent, &fields[0].name.node);
                    sets = fields.iter().map(|field| &field.selection_set.node).collect();
                    types = self.schema.objects(name(&ty)).into_iter().map(str::to_owned).collect();
                    ty
                }
                Value::Number(index) => {
                    place = place.and_then(|value| match value {
                        Value::List(values) => values.get(usize::try_from(index.as_u64()?).ok()?),
                        _ => None,
                    });
                    match item.take().map(|ty| ty.base) {
                        Some(BaseType::List(item)) => *item,
                        _ => return Err(format!("{error} is in no list")),
                    }
                }
                other => return Err(format!("{other} is in a path")),
            };
            if is_beyond {
                reaches &= !ty.nullable;
            } else {
                null.push(segment.to_string());
            }
            item = Some(ty);
        }
        match place {
            None | Some(Value::Null) => Ok((null, reaches)),
            Some(value) => Err(format!("{error} is at {value}")),
        }
    }

    fn type_of(&self, parent: &str, field: &str) -> Type {
        let fields = self.schema.fields(parent);
        fields
            .iter()
            .find(|known| known.name.node == field)
            .map_or_else(|| panic!("{parent} has no {field}"), |known| known.ty.node.clone())
    }

    fn collect<'d>(&'d self, ty: Option<&str>, sets: &[&'d SelectionSet]) -> Collected<'d> {
        let mut fields = Collected::default();
        sets.iter().for_each(|set| self.collect_into(ty, set, &mut fields));
        fields
    }

    fn collect_into<'d>(&'d self, ty: Option<&str>, set: &'d SelectionSet, fields: &mut Collected<'d>) {
        for selection in set.items.iter().filter(|selection| is_included(selection.node.directives())) {
            let (condition, set) = match &selection.node {
                Selection::Field(field) => {
                    fields.push(field.node.response_key().node.as_str(), &field.node);
                    continue;
                }
                Selection::InlineFragment(fragment) => {
                    (fragment.node.type_condition.as_ref(), &fragment.node.selection_set.node)
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = &self.document.fragments[&spread.node.fragment_name.node].node;
                    (Some(&fragment.type_condition), &fragment.selection_set.node)
                }
            };
            let applies = condition
                .zip(ty)
                .is_none_or(|(condition, ty)| self.schema.objects(&condition.node.on.node).contains(&ty));
            if applies {
                self.collect_into(ty, set, fields);
            }
        }
    }
}

/// By `@skip` and `@include` with a value that stands there.
fn is_included(directives: &[Positioned<Directive>]) -> bool {
    directives.iter().all(|directive| {
        let given = directive.node.get_argument("if").map(|value| value.node.clone());
        let is_true = given.and_then(|value| value.into_const()) == Some(Value::Boolean(true));
        is_true == (directive.node.name.node == "include")
    })
}

/// Fields by the name that they have in the response, in the order of the document.
#[derive(Default)]
struct Collected<'d>(Vec<(&'d str, Vec<&'d Field>)>);

impl<'d> Collected<'d> {
    fn push(&mut self, key: &'d str, field: &'d Field) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, fields)) => fields.push(field),
            None => self.0.push((key, vec![field])),
        }
    }

    fn keys(&self) -> impl Iterator<Item = &'d str> {
        self.0.iter().map(|(key, _)| *key)
    }

    fn iter(&self) -> impl Iterator<Item = &(&'d str, Vec<&'d Field>)> {
        self.0.iter()
    }

    fn take(&mut self, key: &str) -> Option<Vec<&'d Field>> {
        self.0.iter_mut().find(|(known, _)| *known == key).map(|(_, fields)| std::mem::take(fields))
    }
}
