//! The patch that leads from one value to another.

use bumpalo::Bump;
use stockade_cel::Value;

use super::{MAX_OPERATIONS, Operation};
use crate::json;

/// Operations that make `before` equal to `after`.
///
/// Small for what mutations do: members set and removed, elements changed in place, added to or removed from one run
/// of a list. At most [`MAX_OPERATIONS`]; a larger difference becomes one `replace` of the whole.
pub fn diff<'a>(before: Value<'a>, after: Value<'a>, arena: &'a Bump) -> Vec<Operation<'a>> {
    let mut patch = Patch { operations: Vec::new(), path: String::new(), arena };
    if patch.compare(before, after).is_none() {
        return vec![Operation { op: "replace", path: "", from: None, value: Some(after) }];
    }
    patch.operations
}

struct Patch<'a> {
    operations: Vec<Operation<'a>>,
    path: String,
    arena: &'a Bump,
}

/// `None` when there are too many operations.
type Room = Option<()>;

impl<'a> Patch<'a> {
    fn compare(&mut self, before: Value<'a>, after: Value<'a>) -> Room {
        if let (Some(before), Some(after)) = (json::object(before), json::object(after)) {
            for e in before.entries() {
                match after.get(e.key) {
                    None => self.below(e.key, |p| p.push("remove", None))?,
                    Some(value) => self.below(e.key, |p| p.compare(e.value, value))?,
                }
            }
            for e in after.entries().iter().filter(|e| before.get(e.key).is_none()) {
                self.below(e.key, |p| p.push("add", Some(e.value)))?;
            }
            return Some(());
        }
        if let (Value::List(before), Value::List(after)) = (before, after) {
            return self.lists(before, after);
        }
        if json::equal(before, after) { Some(()) } else { self.push("replace", Some(after)) }
    }

    /// Leaves equal elements at both ends alone; of the rest, compares pairwise what pairs up, then removes or adds.
    fn lists(&mut self, before: &'a [Value<'a>], after: &'a [Value<'a>]) -> Room {
        let same = |(a, b): &(&Value<'a>, &Value<'a>)| json::equal(**a, **b);
        if before.len() == after.len() {
            for (i, (b, a)) in before.iter().zip(after).enumerate() {
                self.below(&i.to_string(), |p| p.compare(*b, *a))?;
            }
            return Some(());
        }
        let head = before.iter().zip(after).take_while(same).count();
        let (before, after) = (&before[head..], &after[head..]);
        let tail = before.iter().rev().zip(after.iter().rev()).take_while(same).count();
        let (before, after) = (&before[..before.len() - tail], &after[..after.len() - tail]);
        let pairs = before.len().min(after.len());
        for (i, (b, a)) in before.iter().zip(after).enumerate() {
            self.below(&(head + i).to_string(), |p| p.compare(*b, *a))?;
        }
        for i in (pairs..before.len()).rev() {
            self.below(&(head + i).to_string(), |p| p.push("remove", None))?;
        }
        for (i, item) in after.iter().enumerate().skip(pairs) {
            self.below(&(head + i).to_string(), |p| p.push("add", Some(*item)))?;
        }
        Some(())
    }

    fn below(&mut self, key: &str, then: impl FnOnce(&mut Self) -> Room) -> Room {
        let end = self.path.len();
        self.path.push('/');
        self.path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        let room = then(self);
        self.path.truncate(end);
        room
    }

    fn push(&mut self, op: &'static str, value: Option<Value<'a>>) -> Room {
        if self.operations.len() >= MAX_OPERATIONS {
            return None;
        }
        let path = self.arena.alloc_str(&self.path);
        self.operations.push(Operation { op, path, from: None, value });
        Some(())
    }
}
