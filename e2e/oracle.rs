//! The API server as oracle: it judges its own policies, and ours must answer the same.
//!
//! [`sets`] gathers policies and requests, [`mutations`] makes more requests of them, [`server`] lets the API server
//! judge each one as a dry run and records the AdmissionReview that a webhook sees, and [`verdict`] reads its answers.

pub mod compare;
pub mod generate;
pub mod mutations;
pub mod ours;
pub mod requests;
pub mod server;
pub mod sets;
pub mod tally;
pub mod twins;
pub mod verdict;

use serde_json::Value;

/// Policies that are in force together, and the requests they judge.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    /// Where it comes from, for people.
    pub name: String,
    /// Policies and bindings. Every policy has a binding.
    pub documents: Vec<Value>,
    /// Params of any kind.
    pub params: Vec<Value>,
    /// The requests.
    pub cases: Vec<Case>,
}

impl PolicySet {
    /// Whether it has a MutatingAdmissionPolicy.
    pub fn mutates(&self) -> bool {
        self.documents.iter().any(|document| document["kind"] == "MutatingAdmissionPolicy")
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Case {
    /// For people: the row's id or the file, and the mutation's number.
    pub id: String,
    /// Namespace of the request; without meaning for a cluster-scoped kind.
    pub namespace: String,
    /// The Namespace object, when the case says what it looks like.
    pub namespace_object: Option<Value>,
    /// What is done.
    pub operation: Operation,
    /// The object as the user posts it.
    pub object: Value,
    /// For [`Operation::Sent`].
    pub sent: Option<requests::Sent>,
    /// What the suite's authors expect: `allow`, `deny`, …; none for generated cases.
    pub expect: Option<String>,
}

/// What is done to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It is made.
    Create,
    /// It exists, and is written again with these changes: seed of the mutation, 0 for none.
    Update(u64),
    /// It exists and is removed.
    Delete,
    /// What [`Case::sent`] says.
    Sent,
}

/// What the API server made of one case.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Index of the case in its set.
    pub case: usize,
    /// The AdmissionReview before any policy; none when the server refused before admission.
    pub review: Option<Value>,
    /// The object after the mutating policies, when they ran to the end.
    pub mutated: Option<Value>,
    /// The answer.
    pub verdict: verdict::Verdict,
    /// Warnings of policies, in the server's order.
    pub warnings: Vec<String>,
    /// Which request it was: the field manager in the audit log.
    pub request: String,
    /// Audit annotations of policies; read from the log by [`server::Oracle::add_audit`].
    pub audit: std::collections::BTreeMap<String, String>,
}
