//! The schema is the committed one, keeps the contract, and explains itself.

use std::collections::BTreeMap;

use async_graphql::Positioned;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{InputValueDefinition, TypeKind, TypeSystemDefinition};
use project_services::api;

/// The contract that clients rely on; the schema may have more, never less and nothing else in its place.
const CONTRACT: &str = include_str!("contract.graphql");

#[test]
fn the_committed_schema_is_the_one_that_is_served() {
    let committed = include_str!("../../schema.graphql");
    assert!(
        committed == api::sdl(),
        "schema.graphql is not the schema of the code: run `make schema` and look at the difference"
    );
}

#[test]
fn the_schema_keeps_the_contract() {
    let (contract, schema) = (items(CONTRACT), items(&api::sdl()));
    assert!(contract.len() > 150, "only {} items were read from the contract", contract.len());
    for (item, shape) in &contract {
        assert_eq!(schema.get(item).map(|(shape, _)| shape), Some(&shape.0), "{item}");
    }
}

#[test]
fn every_item_of_the_schema_is_described() {
    let undescribed: Vec<_> =
        items(&api::sdl()).into_iter().filter(|(_, (_, described))| !described).map(|(item, _)| item).collect();
    assert!(undescribed.is_empty(), "{undescribed:?}");
}

/// Each type, field, argument, input field and enum value, with its shape and whether it is described.
fn items(sdl: &str) -> BTreeMap<String, (String, bool)> {
    let mut items = BTreeMap::new();
    for definition in parse_schema(sdl).unwrap().definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let (name, described) = (definition.node.name.node.to_string(), definition.node.description.is_some());
        let mut put = |item: String, shape: String, described| {
            assert!(items.insert(item.clone(), (shape, described)).is_none(), "{item} is there twice");
        };
        let (kind, implements, fields) = match definition.node.kind {
            TypeKind::Scalar => ("scalar", vec![], vec![]),
            TypeKind::Object(object) => ("type", object.implements, object.fields),
            TypeKind::Interface(interface) => ("interface", interface.implements, interface.fields),
            TypeKind::Union(_) => panic!("unions are not expected"),
            TypeKind::Enum(values) => {
                for value in values.values {
                    let item = format!("{name}.{}", value.node.value.node);
                    put(item, "value".to_owned(), value.node.description.is_some());
                }
                ("enum", vec![], vec![])
            }
            TypeKind::InputObject(input) => {
                for field in input.fields {
                    let (field, shape, described) = input_value(&field);
                    put(format!("{name}.{field}"), shape, described);
                }
                ("input", vec![], vec![])
            }
        };
        for field in fields {
            let path = format!("{name}.{}", field.node.name.node);
            for argument in &field.node.arguments {
                let (argument, shape, described) = input_value(argument);
                put(format!("{path}({argument})"), shape, described);
            }
            put(path, field.node.ty.node.to_string(), field.node.description.is_some());
        }
        let implements: Vec<_> = implements.iter().map(|name| name.node.as_str()).collect();
        put(name, format!("{kind} {}", implements.join(" & ")), described);
    }
    items
}

fn input_value(value: &Positioned<InputValueDefinition>) -> (String, String, bool) {
    let default = value.node.default_value.as_ref().map(|default| format!(" = {}", default.node));
    let shape = format!("{}{}", value.node.ty.node, default.unwrap_or_default());
    (value.node.name.node.to_string(), shape, value.node.description.is_some())
}
