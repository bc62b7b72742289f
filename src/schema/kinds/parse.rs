//! Reads `data/kubernetes.txt`.
//!
//! One fact a line, separated by tabs, `-` for empty:
//! - `T name [~atomic]` a struct type; its fields follow. `T name =type` another name of a type.
//! - `F name type [!] [mark] [=default]` a field: `!` required, how Go writes it (`&` a pointer: zero is kept; `*` one
//!   that is null when unset; `+`
//!   always; `-` never when zero; none: by type), default as JSON.
//! - `K group version kind type` a kind.
//! - `R group version plural singular kind N|C verbs short-names` a resource, namespaced or cluster-wide.
//! - `S subresource group version kind verbs` a subresource of the resource above.
//!
//! Type expressions: `string`, `string:format`, `enum:A|B`, `int32`, `int64`, `double`, `bool`, `int-or-string`,
//! `quantity`, `any`, `raw`, `object`, `@name`, `@name~atomic`, `[item]`, `set[item]`, `map(key,key)[item]`,
//! `{value}`, `atomic{value}`.

use std::collections::HashMap;

use super::{Kind, Kinds, Resource, Scope, Subresource};
use crate::shape::{Field, Fields, ListKind, Presence, Shape, StringFormat, StructId, TypeId};

/// A line that does not read; its number.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {0} of the generated kinds does not read")]
pub(crate) struct BadLine(usize);

/// What a `T` line says.
#[derive(Clone, Copy)]
enum Named {
    Alias(&'static str),
    Struct { id: StructId, atomic: bool },
}

type Words<'w> = std::str::Split<'w, char>;
type Triple = (&'static str, &'static str, &'static str);

pub(crate) fn parse(text: &'static str) -> Result<Kinds, BadLine> {
    let mut types = Types::default();
    for (number, line) in lines(text) {
        types.declare(line).ok_or(BadLine(number))?;
    }
    let mut kinds = Kinds::default();
    let mut structs = 0;
    for (number, line) in lines(text) {
        let bad = || BadLine(number);
        let mut words = line.split('\t');
        match words.next() {
            Some("T") => structs += usize::from(!line.contains("\t=")),
            Some("F") => {
                let field = types.field(&mut words).ok_or_else(bad)?;
                let owner = types.structs.get_mut(structs.wrapping_sub(1)).ok_or_else(bad)?;
                owner.list.push(field);
            }
            Some("K") => {
                let key = triple(&mut words).ok_or_else(bad)?;
                let root = types.named(words.next().ok_or_else(bad)?, None).ok_or_else(bad)?;
                kinds.kinds.push(Kind { group: key.0, version: key.1, kind: key.2, root });
            }
            Some("R") => {
                kinds.resources.push(resource(&mut words).ok_or_else(bad)?);
            }
            Some("S") => {
                let subresource = subresource(&mut words).ok_or_else(bad)?;
                kinds.resources.last_mut().ok_or_else(bad)?.subresources.push(subresource);
            }
            _ => return Err(bad()),
        }
    }
    for fields in &mut types.structs {
        // Sorted already by bytes; the order is what look-up relies on.
        fields.list.sort_unstable_by_key(|f| f.name);
    }
    kinds.shapes = types.shapes;
    kinds.structs = types.structs;
    kinds.index();
    Ok(kinds)
}

fn lines(text: &'static str) -> impl Iterator<Item = (usize, &'static str)> {
    text.lines().enumerate().map(|(i, line)| (i + 1, line)).filter(|(_, line)| !line.starts_with('#'))
}

fn undash(word: &'static str) -> &'static str {
    if word == "-" { "" } else { word }
}

fn list(word: &'static str) -> Vec<&'static str> {
    undash(word).split(',').filter(|w| !w.is_empty()).collect()
}

fn triple(words: &mut Words<'static>) -> Option<Triple> {
    Some((undash(words.next()?), words.next()?, words.next()?))
}

fn resource(words: &mut Words<'static>) -> Option<Resource> {
    let (group, version, resource) = triple(words)?;
    let (singular, kind) = (undash(words.next()?), words.next()?);
    let scope = match words.next()? {
        "N" => Scope::Namespaced,
        "C" => Scope::Cluster,
        _ => return None,
    };
    let (verbs, short_names) = (list(words.next()?), list(words.next()?));
    Some(Resource { group, version, resource, singular, kind, scope, verbs, short_names, subresources: Vec::new() })
}

fn subresource(words: &mut Words<'static>) -> Option<Subresource> {
    let name = words.next()?;
    let (group, version, kind) = triple(words)?;
    Some(Subresource { name, group, version, kind, verbs: list(words.next()?) })
}

/// Types under construction; equal expressions share one [`TypeId`].
#[derive(Default)]
struct Types {
    shapes: Vec<Shape>,
    structs: Vec<Fields>,
    by_expression: HashMap<String, TypeId>,
    by_name: HashMap<&'static str, Named>,
}

impl Types {
    /// Takes note of the name in a `T` line.
    fn declare(&mut self, line: &'static str) -> Option<()> {
        let Some(rest) = line.strip_prefix("T\t") else { return Some(()) };
        if let Some((name, expression)) = rest.split_once("\t=") {
            self.by_name.insert(name, Named::Alias(expression));
            return Some(());
        }
        let (name, atomic) = rest.strip_suffix("\t~atomic").map_or((rest, false), |name| (name, true));
        let id = StructId(u16::try_from(self.structs.len()).ok()?);
        self.structs.push(Fields { name, list: Vec::new() });
        self.by_name.insert(name, Named::Struct { id, atomic });
        Some(())
    }

    fn field(&mut self, words: &mut Words<'static>) -> Option<Field> {
        let name = words.next()?;
        let ty = self.resolve(words.next()?)?;
        let mut field = Field { name, ty, required: false, presence: Presence::Omitted, default: None };
        for word in words {
            match word.strip_prefix('=') {
                Some(json) => field.default = Some(json),
                None => match word {
                    "!" => field.required = true,
                    "&" => field.presence = Presence::Pointer,
                    "*" => field.presence = Presence::Nullable,
                    "+" => field.presence = Presence::Always,
                    "-" => field.presence = Presence::NeverZero,
                    _ => return None,
                },
            }
        }
        Some(field)
    }

    fn resolve(&mut self, expression: &'static str) -> Option<TypeId> {
        if let Some(&id) = self.by_expression.get(expression) {
            return Some(id);
        }
        if let Some(name) = expression.strip_prefix('@') {
            let (name, atomic) = match name.split_once('~') {
                Some((name, "atomic")) => (name, Some(true)),
                Some((name, "granular")) => (name, Some(false)),
                Some(_) => return None,
                None => (name, None),
            };
            return self.named(name, atomic);
        }
        let shape = match self.container(expression) {
            Some(shape) => shape,
            None => scalar(expression)?,
        };
        self.add(expression, shape)
    }

    fn named(&mut self, name: &'static str, atomic: Option<bool>) -> Option<TypeId> {
        match *self.by_name.get(name)? {
            Named::Alias(expression) => self.resolve(expression),
            Named::Struct { id, atomic: declared } => {
                let atomic = atomic.unwrap_or(declared);
                let key = format!("@{name}~{atomic}");
                match self.by_expression.get(&key) {
                    Some(&id) => Some(id),
                    None => self.add(&key, Shape::Struct { fields: id, atomic }),
                }
            }
        }
    }

    fn container(&mut self, expression: &'static str) -> Option<Shape> {
        if let Some((head, element)) = expression.strip_suffix('}').and_then(|e| e.split_once('{')) {
            return Some(Shape::Map { element: self.resolve(element)?, atomic: head == "atomic" });
        }
        let (head, element) = expression.strip_suffix(']')?.split_once('[')?;
        let kind = match head {
            "" => ListKind::Atomic,
            "set" => ListKind::Set,
            _ => ListKind::Map(list(head.strip_prefix("map(")?.strip_suffix(')')?)),
        };
        Some(Shape::List { element: self.resolve(element)?, kind })
    }

    /// `None` when there are more types than a [`TypeId`] can count.
    fn add(&mut self, expression: &str, shape: Shape) -> Option<TypeId> {
        let id = TypeId(u16::try_from(self.shapes.len()).ok()?);
        self.shapes.push(shape);
        self.by_expression.insert(expression.to_owned(), id);
        Some(id)
    }
}

fn scalar(expression: &'static str) -> Option<Shape> {
    Some(match expression {
        "string" => Shape::String(StringFormat::Plain),
        "string:byte" => Shape::String(StringFormat::Byte),
        "string:date-time" => Shape::String(StringFormat::DateTime),
        "int32" => Shape::Int { bits: 32 },
        "int64" => Shape::Int { bits: 64 },
        "double" => Shape::Double,
        "bool" => Shape::Bool,
        "int-or-string" => Shape::IntOrString,
        "quantity" => Shape::Quantity,
        "any" => Shape::Any,
        "raw" => Shape::Raw,
        "object" => Shape::Object,
        _ => match expression.split_once(':')? {
            ("string", format) => Shape::String(StringFormat::Other(format)),
            ("enum", values) => Shape::String(StringFormat::Enum(values)),
            _ => return None,
        },
    })
}
