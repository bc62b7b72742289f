//! Whether a request is about a namespace of the groups that a policy names.

use stockade_policy::compiled::{NamespaceGroup, Policy};
use stockade_policy::selector::LabelSelector;

use crate::matcher::{MatchError, NamespaceLabels, has_namespace, selected_namespace};
use crate::request::{Request, labels};

/// The groups of one policy.
#[derive(Debug)]
pub(crate) struct Groups {
    names: Vec<String>,
    selectors: Vec<LabelSelector>,
    /// Groups that are not there: what is in none of the others may be in one of these, so it cannot be said.
    unknown: Vec<String>,
}

impl Groups {
    /// Those of a policy; none when it names none.
    pub(crate) fn of(policy: &Policy, all: &[NamespaceGroup]) -> Option<Box<Self>> {
        if policy.namespace_groups.is_empty() {
            return None;
        }
        let mut groups = Self { names: Vec::new(), selectors: Vec::new(), unknown: Vec::new() };
        for name in &policy.namespace_groups {
            match all.iter().find(|g| g.name == *name) {
                Some(group) => {
                    groups.names.extend_from_slice(&group.names);
                    groups.selectors.extend(group.selector.clone());
                }
                None => groups.unknown.push(name.to_string()),
            }
        }
        groups.names.sort_unstable();
        Some(Box::new(groups))
    }

    /// Whether the namespace of the request, or the Namespace that it is about, is in one of them. Other cluster-scoped
    /// objects never are.
    ///
    /// # Errors
    /// A group that is not there, or a namespace whose labels are not known.
    pub(crate) fn hold<'a>(
        &self,
        request: &Request<'a>,
        namespaces: &dyn NamespaceLabels<'a>,
    ) -> Result<bool, MatchError> {
        if !has_namespace(request) {
            return Ok(false);
        }
        let name = if request.namespace.is_empty() { request.display_name() } else { request.namespace };
        if self.names.binary_search_by(|n| n.as_str().cmp(name)).is_ok() {
            return Ok(true);
        }
        if !self.selectors.is_empty() {
            let namespace = selected_namespace(request, namespaces)?;
            if self.selectors.iter().any(|s| s.matches(labels(namespace))) {
                return Ok(true);
            }
        }
        match self.unknown.first() {
            Some(name) => Err(MatchError::GroupNotFound { name: name.clone() }),
            None => Ok(false),
        }
    }
}
