//! Subjects that rules cannot tell apart: peers, or blocks of addresses.

use std::collections::HashMap;

/// Which part of a table: a rule about some ports.
pub(super) type PartId = u32;

/// Puts subjects into classes, rule by rule, without a list of rules for each of them.
#[derive(Debug)]
pub(super) struct Classes {
    /// By subject; 0 for those that no rule is about.
    of: Vec<u32>,
    /// Subjects that a rule is about, each once: mostly few of all.
    met: Vec<usize>,
    /// Of each class but the first: the class before its last part was added, and that part.
    steps: Vec<(u32, PartId)>,
    /// Classes that the current rule made.
    moved: HashMap<(u32, PartId), u32>,
    /// The last of them that was asked for: neighbours are mostly alike.
    last: Option<((u32, PartId), u32)>,
}

// === impl Classes ===

impl Classes {
    /// Of so many subjects, about which nothing is said.
    pub(super) fn new(subjects: usize) -> Self {
        Self { of: vec![0; subjects], met: Vec::new(), steps: Vec::new(), moved: HashMap::new(), last: None }
    }

    /// Begins another rule.
    pub(super) fn next_rule(&mut self) {
        self.moved.clear();
        self.last = None;
    }

    /// The current rule is about a subject, by this part of it. Each subject at most once a rule.
    pub(super) fn add(&mut self, subject: usize, part: PartId) {
        let key = (self.of[subject], part);
        let class = match self.last {
            Some((last, class)) if last == key => class,
            _ => *self.moved.entry(key).or_insert_with(|| {
                self.steps.push(key);
                self.steps.len() as u32
            }),
        };
        self.last = Some((key, class));
        if self.of[subject] == 0 {
            self.met.push(subject);
        }
        self.of[subject] = class;
    }

    /// The class of a subject; 0 for nothing said.
    pub(super) fn of(&self, subject: usize) -> usize {
        self.of[subject] as usize
    }

    /// How many numbers of classes there are.
    pub(super) fn len(&self) -> usize {
        self.steps.len() + 1
    }

    /// Whether each class has a subject; those that later rules have emptied have none.
    pub(super) fn inhabited(&self) -> Vec<bool> {
        let mut inhabited = vec![false; self.len()];
        inhabited[0] = self.met.len() < self.of.len();
        for subject in &self.met {
            inhabited[self.of(*subject)] = true;
        }
        inhabited
    }

    /// Subjects that a rule is about, in no order.
    pub(super) fn met(&self) -> &[usize] {
        &self.met
    }

    /// Parts of a class, the last first.
    pub(super) fn parts(&self, class: usize) -> impl Iterator<Item = PartId> {
        let mut next = class;
        std::iter::from_fn(move || {
            let (before, part) = *self.steps.get(next.checked_sub(1)?)?;
            next = before as usize;
            Some(part)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_of_the_same_rules_are_one_class() {
        let mut classes = Classes::new(5);
        for (part, subjects) in [(0, vec![0, 1, 2]), (1, vec![1, 2, 3]), (2, vec![1])] {
            classes.next_rule();
            for subject in subjects {
                classes.add(subject, part);
            }
        }
        let parts = |subject: usize| classes.parts(classes.of(subject)).collect::<Vec<_>>();
        assert_eq!([0, 1, 2, 3, 4].map(parts), [vec![0], vec![2, 1, 0], vec![1, 0], vec![1], vec![]]);
        assert_eq!(classes.inhabited().iter().filter(|used| **used).count(), 5);
    }
}
