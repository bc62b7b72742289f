//! The `authorizer` variables, and the cache in front of who answers them.

use std::collections::HashMap;
use std::sync::Mutex;

use bumpalo::Bump;
use stockade_cel::Value;
use stockade_cel::authorizer::{Attributes, Authorizer, Decision};
use stockade_cel::library::authz;

use crate::request::{GroupVersionResource, Request};

/// Most answers remembered for one request.
const MAX_CACHED: usize = 1_000;

/// Asks on behalf of the requesting user, each question once a request, as the API server's caching authorizer does.
pub(crate) struct RequestAuthorizer<'f> {
    inner: &'f dyn Authorizer,
    user: &'f str,
    groups: &'f [Value<'f>],
    answers: Mutex<HashMap<String, Decision>>,
}

// === impl RequestAuthorizer ===

impl<'f> RequestAuthorizer<'f> {
    pub(crate) fn new(inner: &'f dyn Authorizer, request: &Request<'f>) -> Self {
        Self {
            inner,
            user: request.user_info.get("username").and_then(Value::as_str).unwrap_or(""),
            groups: request.user_info.get("groups").and_then(Value::as_list).unwrap_or(&[]),
            answers: Mutex::default(),
        }
    }
}

impl Authorizer for RequestAuthorizer<'_> {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let mut question = attributes.clone();
        if question.user.is_empty() {
            self.user.clone_into(&mut question.user);
            question.groups = self.groups.iter().filter_map(|g| g.as_str()).map(str::to_owned).collect();
        }
        let key = format!("{question:?}");
        if let Ok(answers) = self.answers.lock()
            && let Some(known) = answers.get(&key)
        {
            return known.clone();
        }
        let answer = self.inner.authorize(&question);
        if let Ok(mut answers) = self.answers.lock()
            && answers.len() < MAX_CACHED
        {
            answers.insert(key, answer.clone());
        }
        answer
    }
}

/// Values of `authorizer` and `authorizer.requestResource`. Where there is nobody to ask, their checks err.
pub(crate) fn variables<'c>(request: &Request<'c>, arena: &'c Bump) -> (Value<'c>, Value<'c>) {
    let GroupVersionResource { group, resource, .. } = request.request_resource;
    let (sub_resource, namespace) = (request.request_sub_resource, request.namespace);
    let check = authz::request_resource(arena, group, resource, sub_resource, namespace, request.name);
    (authz::authorizer(arena), check)
}
