//! Documents over a schema, made from a row of numbers, so that a failing one can be made smaller.

use std::collections::BTreeMap;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind, TypeSystemDefinition,
};

/// How deep selections go.
const DEPTH: usize = 5;

/// What a document may name.
pub struct Known {
    pub services: Vec<String>,
    pub cursors: Vec<String>,
}

/// Numbers to choose by; 0 for ever at their end.
pub struct Choices {
    numbers: std::vec::IntoIter<u16>,
    aliases: usize,
}

impl Choices {
    pub fn new(numbers: Vec<u16>) -> Self {
        Self { numbers: numbers.into_iter(), aliases: 0 }
    }

    fn below(&mut self, most: usize) -> usize {
        usize::from(self.numbers.next().unwrap_or(0)) % most
    }

    fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("a{}", self.aliases)
    }
}

pub struct Schema(BTreeMap<String, TypeDefinition>);

impl Schema {
    pub fn of(sdl: &str) -> Self {
        let types = parse_schema(sdl).unwrap().definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => Some((definition.node.name.node.to_string(), definition.node)),
            _ => None,
        });
        Self(types.collect())
    }

    pub fn kind(&self, name: &str) -> Option<&TypeKind> {
        self.0.get(name).map(|definition| &definition.kind)
    }

    /// The fields of an object or an interface.
    pub fn fields(&self, name: &str) -> Vec<&FieldDefinition> {
        let fields = match self.kind(name) {
            Some(TypeKind::Object(object)) => &object.fields,
            Some(TypeKind::Interface(interface)) => &interface.fields,
            _ => return Vec::new(),
        };
        fields.iter().map(|field| &field.node).collect()
    }

    /// The objects that a value of this type may be.
    pub fn objects(&self, name: &str) -> Vec<&str> {
        if !matches!(self.kind(name), Some(TypeKind::Interface(_))) {
            return self.0.get_key_value(name).map(|(name, _)| name.as_str()).into_iter().collect();
        }
        let implements = |kind: &TypeKind| match kind {
            TypeKind::Object(object) => object.implements.iter().any(|interface| interface.node == name),
            _ => false,
        };
        self.0.iter().filter(|(_, definition)| implements(&definition.kind)).map(|(name, _)| name.as_str()).collect()
    }

    /// A query, or now and then a mutation.
    pub fn document(&self, choices: &mut Choices, known: &Known) -> String {
        let (word, root) = if choices.below(4) == 3 { ("mutation", "Mutation") } else { ("query", "Query") };
        let mut maker = Maker { schema: self, choices, known, fragments: Vec::new() };
        let selections = maker.selections(root, 0);
        let fragments = maker.fragments.concat();
        format!("{word} {selections}{fragments}")
    }
}

struct Maker<'a> {
    schema: &'a Schema,
    choices: &'a mut Choices,
    known: &'a Known,
    fragments: Vec<String>,
}

impl Maker<'_> {
    fn selections(&mut self, of: &str, depth: usize) -> String {
        let mut selections = Vec::new();
        if matches!(self.schema.kind(of), Some(TypeKind::Interface(_))) {
            selections.push("__typename".to_owned());
        }
        for _ in 0..=self.choices.below(4) {
            let condition = match self.choices.below(12) {
                8 => " @include(if: true)",
                9 => " @skip(if: true)",
                10 => " @include(if: false)",
                _ => "",
            };
            let selection = match self.choices.below(10) {
                6 => format!("...{condition} {}", self.fields(of, depth)),
                7 => {
                    let objects = self.schema.objects(of);
                    let object = self.choices.one_of(&objects);
                    format!("... on {object}{condition} {}", self.fields(object, depth))
                }
                8 => {
                    let fields = self.fields(of, depth);
                    let name = format!("f{}", self.fragments.len());
                    self.fragments.push(format!(" fragment {name} on {of} {fields}"));
                    format!("...{name}{condition}")
                }
                _ => self.field(of, depth, condition),
            };
            selections.push(selection);
        }
        // So that there is something when all else is skipped.
        selections.push("last: __typename".to_owned());
        format!("{{ {} }}", selections.join(" "))
    }

    fn fields(&mut self, of: &str, depth: usize) -> String {
        let fields: Vec<String> = (0..=self.choices.below(3)).map(|_| self.field(of, depth, "")).collect();
        format!("{{ {} }}", fields.join(" "))
    }

    fn field(&mut self, of: &str, depth: usize, condition: &str) -> String {
        let is_leaf = |field: &&FieldDefinition| self.schema.fields(name(&field.ty.node)).is_empty();
        let mut fields = self.schema.fields(of);
        if depth >= DEPTH {
            fields.retain(is_leaf);
        }
        if fields.is_empty() {
            return "__typename".to_owned();
        }
        let field = *self.choices.one_of(&fields);
        let arguments = self.arguments(field.arguments.iter().map(|argument| &argument.node));
        // Two of one name have to ask for the same.
        let alias = if field.arguments.is_empty() && self.choices.below(4) < 3 {
            String::new()
        } else {
            format!("{}: ", self.choices.alias())
        };
        let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
        let within = name(&field.ty.node);
        let selections = match self.schema.fields(within).is_empty() {
            true => String::new(),
            false => format!(" {}", self.selections(within, depth + 1)),
        };
        format!("{alias}{}{arguments}{condition}{selections}", field.name.node)
    }

    fn arguments<'d>(&mut self, definitions: impl Iterator<Item = &'d InputValueDefinition>) -> String {
        let mut arguments = Vec::new();
        for definition in definitions {
            let is_needed = !definition.ty.node.nullable && definition.default_value.is_none();
            if is_needed || self.choices.below(3) == 1 {
                let value = self.value(&definition.name.node, &definition.ty.node);
                arguments.push(format!("{}: {value}", definition.name.node));
            }
        }
        arguments.join(", ")
    }

    fn value(&mut self, of: &str, ty: &Type) -> String {
        let name = match &ty.base {
            BaseType::List(item) => {
                let items: Vec<String> = (0..self.choices.below(3)).map(|_| self.value(of, item)).collect();
                return format!("[{}]", items.join(", "));
            }
            BaseType::Named(name) => name.as_str(),
        };
        if ty.nullable && self.choices.below(8) == 7 {
            return "null".to_owned();
        }
        let schema = self.schema;
        match schema.kind(name) {
            Some(TypeKind::Enum(values)) => self.choices.one_of(&values.values).node.value.node.to_string(),
            Some(TypeKind::InputObject(input)) => {
                format!("{{{}}}", self.arguments(input.fields.iter().map(|field| &field.node)))
            }
            _ => self.scalar(of, name),
        }
    }

    fn scalar(&mut self, of: &str, ty: &str) -> String {
        match (of, ty) {
            (_, "Int") => (*self.choices.one_of(&["1", "2", "3", "100", "0", "-1", "101"])).to_owned(),
            (_, "Boolean") => (*self.choices.one_of(&["true", "false"])).to_owned(),
            (_, "DateTime") => "\"2026-01-31T12:00:00Z\"".to_owned(),
            ("projectId", _) => quoted(self.choices.one_of(&["demo", "demo", "demo", "nope", "a b"])),
            ("id", _) => {
                let odd = ["svc_00000000000000000000000000000001", "abc", "project:demo", "project:nope", "kind:REDIS"]
                    .map(str::to_owned);
                let ids = [self.known.services.as_slice(), &odd].concat();
                quoted(self.choices.one_of(&ids))
            }
            ("after" | "before", _) => {
                let cursors = [self.known.cursors.as_slice(), &["nonsense".to_owned()]].concat();
                quoted(self.choices.one_of(&cursors))
            }
            _ => quoted(self.choices.one_of(&["orders", "17", "7", "", "Ä"])),
        }
    }
}

fn quoted(text: impl std::fmt::Display) -> String {
    format!("\"{text}\"")
}

/// The name of a type without its lists.
pub fn name(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => name(item),
    }
}
