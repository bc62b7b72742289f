//! The `authorizer` variables, and the cache in front of who answers them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use bumpalo::Bump;
use stockade_cel::authorizer::{Attributes, Authorizer, Decision};
use stockade_cel::library::authz;
use stockade_cel::{Object, Value};

use crate::request::{GroupVersionResource, Request};

/// Most answers remembered for one request.
const MAX_CACHED: usize = 1_000;

/// Asks on behalf of the requesting user, each question once a request, as the API server's caching authorizer does.
pub(crate) struct RequestAuthorizer<'f> {
    inner: &'f dyn Authorizer,
    user_info: Value<'f>,
    deadline: Option<Instant>,
    answers: Mutex<HashMap<String, Decision>>,
}

// === impl RequestAuthorizer ===

impl<'f> RequestAuthorizer<'f> {
    pub(crate) fn new(inner: &'f dyn Authorizer, request: &Request<'f>, deadline: Option<Instant>) -> Self {
        Self { inner, user_info: request.user_info, deadline, answers: Mutex::default() }
    }

    /// Asks about the requesting user.
    fn fill_in(&self, question: &mut Attributes) {
        let text = |key| self.user_info.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        (question.user, question.uid) = (text("username"), text("uid"));
        question.groups = strings(self.user_info.get("groups"));
        let extra = self.user_info.get("extra").and_then(Value::as_object).map_or(&[][..], Object::entries);
        question.extra = extra.iter().map(|e| (e.key.to_owned(), strings(Some(e.value)))).collect();
    }
}

impl Authorizer for RequestAuthorizer<'_> {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let mut question = attributes.clone();
        if question.user.is_empty() {
            self.fill_in(&mut question);
        }
        let key = format!("{question:?}");
        if let Ok(answers) = self.answers.lock()
            && let Some(known) = answers.get(&key)
        {
            return known.clone();
        }
        let answer = self.inner.authorize_by(&question, self.deadline);
        if let Ok(mut answers) = self.answers.lock()
            && answers.len() < MAX_CACHED
        {
            answers.insert(key, answer.clone());
        }
        answer
    }
}

fn strings(list: Option<Value<'_>>) -> Vec<String> {
    let list = list.and_then(Value::as_list).unwrap_or(&[]);
    list.iter().filter_map(|v| v.as_str()).map(str::to_owned).collect()
}

/// Values of `authorizer` and `authorizer.requestResource`. Where there is nobody to ask, their checks err.
pub(crate) fn variables<'c>(request: &Request<'c>, arena: &'c Bump) -> (Value<'c>, Value<'c>) {
    let GroupVersionResource { group, resource, .. } = request.request_resource;
    let (sub_resource, namespace) = (request.request_sub_resource, request.namespace);
    let check = authz::request_resource(arena, group, resource, sub_resource, namespace, request.name);
    (authz::authorizer(arena), check)
}
