//! The `authorizer` variables, and the cache in front of who answers them.

use std::collections::HashMap;
use std::sync::Mutex;

use stockade_cel::Value;
use stockade_cel::authorizer::{Attributes, Authorizer, Decision};
use stockade_cel::functions::Scope;

use crate::request::Request;

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

/// `authorizer`; null where there is nobody to ask, on which every call errs.
pub(crate) fn authorizer_variable(scope: Scope<'_>) -> Value<'_> {
    let _ = scope;
    Value::Null
}

/// `authorizer.requestResource`
pub(crate) fn request_resource_variable<'c>(request: &Request<'c>, scope: Scope<'c>) -> Value<'c> {
    let _ = (request, scope);
    Value::Null
}
