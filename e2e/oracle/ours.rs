//! The same policies and requests judged by our engine, in this process.

use std::sync::Arc;

use bumpalo::Bump;
use serde_json::{Value, json};
use stockade_cel::authorizer::{Attributes, Authorizer, Decision as Answer};
use stockade_cel::document::decode;
use stockade_engine::{DecideOptions, Decision, Engine, FolderFacts, Request, Verb};
use stockade_policy::compile::{Options, UnboundPolicy, compile};
use stockade_policy::sources::PolicySources;

use super::PolicySet;
use super::server::Oracle;
use crate::client::Client;
use crate::documents::text;

/// One set, ready to judge.
pub struct Ours {
    engine: Engine,
    facts: FolderFacts,
    verb: Verb,
}

impl Ours {
    /// Compiles the set and takes what exists from the server: namespaces and kinds.
    ///
    /// # Errors
    /// All diagnostics, when a policy is refused.
    pub fn new(set: &PolicySet, oracle: &Oracle<'_>) -> Result<Ours, String> {
        let text: Vec<String> = set.documents.iter().map(Value::to_string).collect();
        let mut sources = PolicySources::default();
        sources.add("set.yaml", &text.join("\n---\n"), true);
        let options = Options { unbound: UnboundPolicy::Ignore, type_check: false, ..Options::default() };
        let compiled = compile(&sources, options).map_err(|diagnostics| format!("{diagnostics:?}"))?;
        let objects = set.params.iter().cloned().chain(oracle.existing());
        let facts = FolderFacts::new(objects).map_err(|error| error.to_string())?;
        let reviewer = AccessReviews(oracle.client().clone());
        Ok(Ours {
            engine: Engine::new(Arc::new(compiled.set)),
            facts: facts.strict_namespaces().with_authorizer(Box::new(reviewer)),
            verb: if set.mutates() { Verb::Both } else { Verb::Validate },
        })
    }

    /// Decides one AdmissionReview.
    ///
    /// # Errors
    /// When it is no request for us.
    pub fn decide(&self, review: &Value) -> Result<Decision, String> {
        let arena = Bump::new();
        let bytes = serde_json::to_vec(review).unwrap();
        let review = decode(&bytes, &arena, self.engine.symbols()).map_err(|error| error.to_string())?;
        let request = Request::from_review(review).map_err(|error| error.to_string())?;
        Ok(self.engine.decide(
            &request,
            &self.facts,
            &arena,
            &DecideOptions { verb: self.verb, ..DecideOptions::default() },
        ))
    }
}

/// Asks the API server, as a webhook in the cluster would.
struct AccessReviews(Client);

impl Authorizer for AccessReviews {
    fn authorize(&self, attributes: &Attributes) -> Answer {
        let mut spec = if attributes.user.is_empty() {
            json!({ "user": "admin", "groups": ["system:masters", "system:authenticated"] })
        } else {
            json!({ "user": attributes.user, "groups": attributes.groups })
        };
        if attributes.path.is_empty() {
            spec["resourceAttributes"] = json!({
                "verb": attributes.verb, "group": attributes.group, "resource": attributes.resource,
                "subresource": attributes.subresource, "namespace": attributes.namespace, "name": attributes.name,
                "version": "*",
            });
        } else {
            spec["nonResourceAttributes"] = json!({ "verb": attributes.verb, "path": attributes.path });
        }
        let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec });
        let answer = self.0.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).expect_ok();
        Answer {
            allowed: answer["status"]["allowed"] == true,
            reason: text(&answer, "/status/reason").to_owned(),
            error: answer.pointer("/status/evaluationError").and_then(Value::as_str).map(str::to_owned),
        }
    }
}
