//! The seam to an authorizer: what the `authorizer` variable asks.

use std::time::Instant;

/// What is asked: a resource or a non-resource path. Empty strings mean unset, as in a SubjectAccessReview.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// User name the question is about; empty for the requesting user.
    pub user: String,
    /// Groups of that user, when `user` names a service account.
    pub groups: Vec<String>,
    /// More that its authenticator says of the requesting user: keys and values, as in `userInfo.extra`.
    pub extra: Vec<(String, Vec<String>)>,
    /// UID of the requesting user.
    pub uid: String,
    /// Non-resource URL path; when set, only `verb` is meaningful beside it.
    pub path: String,
    /// Verb.
    pub verb: String,
    /// API group.
    pub group: String,
    /// Resource, plural.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Field selector as written. One that does not parse counts as none.
    pub field_selector: String,
    /// Label selector as written. One that does not parse counts as none.
    pub label_selector: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Explicitly allowed.
    pub allowed: bool,
    /// Why, in the authorizer's words.
    pub reason: String,
    /// The authorizer failed; `errored()` and `error()` show it.
    pub error: Option<String>,
}

/// Answers authorization questions: a SubjectAccessReview in a cluster, a table in tests and on the command line.
pub trait Authorizer: Sync {
    /// One question. Synchronous.
    fn authorize(&self, attributes: &Attributes) -> Decision;

    /// The same for a request with a deadline: whoever has to ask somebody else answers by then, or with `error`.
    fn authorize_by(&self, attributes: &Attributes, deadline: Option<Instant>) -> Decision {
        let _ = deadline;
        self.authorize(attributes)
    }
}
