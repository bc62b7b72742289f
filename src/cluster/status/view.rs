//! All that a status is made of, at one moment.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use stockade_engine::facts::ClusterFacts;
use stockade_policy::compiled::{Exception, Policy};

use super::conditions::differs;
use super::objects::{Key, Seen};
use super::{exception, group, policy};
use crate::policies::{Generation, RefusedObject, SourceKind};
use crate::replicas::Replica;

/// One moment.
pub(super) struct View<'v> {
    pub(super) generation: &'v Generation,
    pub(super) replicas: &'v [Replica],
    pub(super) facts: &'v dyn ClusterFacts,
    pub(super) now: Timestamp,
    refused: HashMap<(SourceKind, &'v str, &'v str), &'v RefusedObject>,
    /// By name: the policies that are judged here, and beside them those that only the audit judges.
    policies: HashMap<&'v str, &'v Policy>,
    exceptions: HashMap<(&'v str, &'v str), &'v Exception>,
}

// === impl View ===

impl<'v> View<'v> {
    pub(super) fn new(
        generation: &'v Generation,
        replicas: &'v [Replica],
        facts: &'v dyn ClusterFacts,
        now: Timestamp,
    ) -> Self {
        let refused = generation.refused.iter().map(|r| ((r.kind, r.namespace.as_str(), r.name.as_str()), r));
        let set = generation.engine.set();
        let native = generation.audited.set().policies.iter().filter(|p| !p.flavour.is_own());
        let policies = native.chain(&set.policies).map(|p| (&*p.name, &**p));
        let exceptions = set.exceptions.iter().map(|e| ((&*e.namespace, &*e.name), e));
        let (refused, policies, exceptions) = (refused.collect(), policies.collect(), exceptions.collect());
        Self { generation, replicas, facts, now, refused, policies, exceptions }
    }

    /// The status of an object as it should be, when it is not; none also while nothing can be said of it yet.
    pub(super) fn differing(&self, key: &Key, seen: &Seen) -> Option<Value> {
        // Before the first generation nothing is known, and what came after this one has not been looked at.
        if self.generation.number == 0 || self.generation.observed.of(key.kind) < seen.since {
            return None;
        }
        let refused = self.refused.get(&(key.kind, key.namespace.as_str(), key.name.as_str())).copied();
        if refused.is_some_and(|r| r.generation != seen.generation) {
            return None;
        }
        let status = match key.kind {
            SourceKind::AdmissionPolicy | SourceKind::ImagePolicy => policy::status(self, key, seen, refused),
            SourceKind::PolicyException => exception::status(self, key, seen, refused),
            SourceKind::NamespaceGroup => group::status(self, &key.name, seen, refused),
            _ => None,
        }?;
        differs(&status, &seen.status).then_some(status)
    }

    /// A policy of any kind that is judged, here or by the API server.
    pub(super) fn policy(&self, name: &str) -> Option<&'v Policy> {
        self.policies.get(name).copied()
    }

    pub(super) fn exception(&self, namespace: &str, name: &str) -> Option<&'v Exception> {
        self.exceptions.get(&(namespace, name)).copied()
    }

    pub(super) fn exceptions(&self) -> impl Iterator<Item = &'v Exception> {
        self.exceptions.values().copied()
    }
}
