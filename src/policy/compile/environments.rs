//! Environments that many policies share, built once.

use stockade_cel::Env;

use crate::environment::{RootTypes, Surroundings, environment};

/// One environment for each of the few surroundings.
#[derive(Debug, Default)]
pub(super) struct Environments {
    built: Vec<(Surroundings, Env)>,
}

impl Environments {
    /// The environment without variables of a policy's own.
    pub(super) fn get(&mut self, around: Surroundings) -> &Env {
        let at = match self.built.iter().position(|(s, _)| *s == around) {
            Some(at) => at,
            None => {
                self.built.push((around, environment(around, &RootTypes::default())));
                self.built.len() - 1
            }
        };
        &self.built[at].1
    }
}
