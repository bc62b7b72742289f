//! What the two-variable macros expand to (cel-go `ext.TwoVarComprehensions`). Their loops have nodes of their own; this
//! is the declaration that the checker needs, and the code for a fold of any other shape.

use bumpalo::collections::Vec as ArenaVec;

use crate::error::ErrorKind;
use crate::functions::{Call, Function, Scope, constant_cost};
use crate::library::declarations::signature;
use crate::render::Shown;
use crate::value::{Value, map_of};

/// `cel.@mapInsert`
pub fn functions() -> Vec<Function> {
    let overloads = [
        ("@mapInsert_map_key_value", "(map(K, V), K, V) -> map(K, V)"),
        ("@mapInsert_map_map", "(map(K, V), map(K, V)) -> map(K, V)"),
    ];
    vec![Function {
        name: "cel.@mapInsert",
        overloads: overloads.iter().filter_map(|(id, text)| signature(id, text)).collect(),
        call: Call::Native(map_insert),
        cost: constant_cost,
    }]
}

fn map_insert<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Result<Value<'a>, ErrorKind<'a>> {
    let (map, added) = match args {
        [map, key, value] => (*map, Value::Map(scope.arena.alloc_slice_copy(&[(*key, *value)]))),
        [map, added] => (*map, *added),
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    let (Some(len), Some(more)) = (map.map_len(), added.map_len()) else { return Err(ErrorKind::NoSuchOverload) };
    let mut entries = ArenaVec::with_capacity_in(len + more, scope.arena);
    entries.extend((0..len).filter_map(|i| map.map_entry(i)));
    for (key, value) in (0..more).filter_map(|i| added.map_entry(i)) {
        if map.lookup(key).is_some() {
            let text = bumpalo::format!(in scope.arena, "insert failed: key {} already exists", Shown(key));
            return Err(ErrorKind::Function(text.into_bump_str()));
        }
        entries.push((key, value));
    }
    Ok(map_of(entries, scope.arena, scope.symbols))
}
