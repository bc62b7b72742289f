//! Switching the registration to Ignore and back.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{DynamicObject, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Resource as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::{Access, FIELD_MANAGER};
use crate::registration::{NAME, Side, is_ours, webhooks};

/// Annotation of a switched configuration: [`Engaged`] as JSON.
pub const ANNOTATION: &str = "stockade.dev/fail-safe";
/// Longest wait for one answer of the API server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// Why and since when a configuration is switched, and what it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Engaged {
    /// For people.
    pub reason: String,
    /// Since when no replica has been ready, RFC 3339.
    pub since: Timestamp,
    /// Names of the entries that fail closed otherwise.
    pub fail: BTreeSet<String>,
}

/// Both configurations.
pub(super) struct Switch {
    apis: [(Side, Api<DynamicObject>); 2],
    recorder: Recorder,
}

/// Why a configuration is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum SwitchError {
    #[error(transparent)]
    Request(#[from] kube::Error),
    #[error("no answer within {} s", REQUEST_TIMEOUT.as_secs())]
    Late,
}

// === impl Switch ===

impl Switch {
    pub(super) fn new(access: &Access) -> Self {
        let reporter =
            Reporter { controller: "stockade-fail-safe".to_owned(), instance: Some(access.identity.clone()) };
        Self {
            apis: Side::BOTH.map(|side| (side, side.api(&access.client))),
            recorder: Recorder::new(access.client.clone(), reporter),
        }
    }

    /// Every entry to Ignore. Nothing is written where that is so.
    pub(super) async fn engage(&self, since: Timestamp) -> Result<(), SwitchError> {
        for (side, api) in &self.apis {
            let Some(mut object) = get(api).await? else { continue };
            if !engage(&mut object, since) {
                continue;
            }
            put(api, &object).await?;
            tracing::error!(
                kind = side.kind(),
                name = NAME,
                since = %since,
                "no replica is ready: the registration fails open, nothing is enforced until one is"
            );
            let note = format!("no replica has been ready since {since}: nothing is enforced until one is");
            self.tell(*side, &object, EventType::Warning, "FailSafeEngaged", note).await;
        }
        Ok(())
    }

    /// Back to what it was. Nothing is written where it is not switched.
    pub(super) async fn release(&self) -> Result<(), SwitchError> {
        for (side, api) in &self.apis {
            let Some(mut object) = get(api).await? else { continue };
            if !release(&mut object) {
                continue;
            }
            put(api, &object).await?;
            tracing::warn!(kind = side.kind(), name = NAME, "a replica is ready again: the registration is in force");
            let note = "a replica is ready again: the registration is in force".to_owned();
            self.tell(*side, &object, EventType::Normal, "FailSafeReleased", note).await;
        }
        Ok(())
    }

    /// Whether either is switched.
    pub(super) async fn is_engaged(&self) -> Result<bool, SwitchError> {
        for (_, api) in &self.apis {
            let annotations = get(api).await?.and_then(|object| object.metadata.annotations);
            if annotations.is_some_and(|all| all.contains_key(ANNOTATION)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells something about the registration where people look for it.
    pub(super) async fn announce(&self, type_: EventType, reason: &str, note: String) {
        let [(side, api), _] = &self.apis;
        if let Ok(Some(object)) = get(api).await {
            self.tell(*side, &object, type_, reason, note).await;
        }
    }

    async fn tell(&self, side: Side, object: &DynamicObject, type_: EventType, reason: &str, note: String) {
        let mut reference = object.object_ref(&side.resource());
        reference.resource_version = None;
        let event =
            Event { type_, reason: reason.to_owned(), note: Some(note), action: "Switch".to_owned(), secondary: None };
        if let Err(error) = self.recorder.publish(&event, &reference).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "event not written");
        }
    }
}

async fn get(api: &Api<DynamicObject>) -> Result<Option<DynamicObject>, SwitchError> {
    let found = tokio::time::timeout(REQUEST_TIMEOUT, api.get_opt(NAME)).await.map_err(|_| SwitchError::Late)??;
    Ok(found.filter(is_ours))
}

/// Holds only while nobody else has written: the `resourceVersion` that was read is sent along.
async fn put(api: &Api<DynamicObject>, object: &DynamicObject) -> Result<(), SwitchError> {
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let written = tokio::time::timeout(REQUEST_TIMEOUT, api.replace(NAME, &params, object)).await;
    written.map_err(|_| SwitchError::Late)??;
    Ok(())
}

/// Whether anything had to be changed.
fn engage(object: &mut DynamicObject, since: Timestamp) -> bool {
    let failing: Vec<String> = webhooks(object).iter().filter(|w| fails(w)).map(name).collect();
    if failing.is_empty() {
        return false;
    }
    let before = engaged(object).map(|e| e.fail).unwrap_or_default();
    let fail: BTreeSet<String> = before.into_iter().chain(failing).collect();
    set(object, &fail, "Ignore");
    let reason = "no replica is ready".to_owned();
    let engaged = serde_json::to_string(&Engaged { reason, since, fail }).unwrap_or_default();
    object.metadata.annotations.get_or_insert_default().insert(ANNOTATION.to_owned(), engaged);
    true
}

/// Whether anything had to be changed.
fn release(object: &mut DynamicObject) -> bool {
    let engaged = engaged(object);
    let removed = object.metadata.annotations.as_mut().and_then(|a| a.remove(ANNOTATION));
    if let Some(Engaged { fail, .. }) = engaged {
        set(object, &fail, "Fail");
    }
    removed.is_some()
}

fn engaged(object: &DynamicObject) -> Option<Engaged> {
    serde_json::from_str(object.metadata.annotations.as_ref()?.get(ANNOTATION)?).ok()
}

fn set(object: &mut DynamicObject, names: &BTreeSet<String>, policy: &str) {
    for webhook in object.data.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        if names.contains(&name(webhook)) {
            webhook["failurePolicy"] = Value::from(policy);
        }
    }
}

fn fails(webhook: &Value) -> bool {
    webhook["failurePolicy"] == "Fail"
}

fn name(webhook: &Value) -> String {
    webhook["name"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(policies: [&str; 2], annotations: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": "stockade", "annotations": annotations },
            "webhooks": [
                { "name": "a.stockade.dev", "failurePolicy": policies[0] },
                { "name": "b.stockade.dev", "failurePolicy": policies[1] },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn what_failed_closed_is_switched_remembered_and_switched_back() {
        let since: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let mut switched = object(["Fail", "Ignore"], &json!({ "other": "stays" }));
        assert!(engage(&mut switched, since));
        let told = r#"{"reason":"no replica is ready","since":"2026-01-02T03:04:05Z","fail":["a.stockade.dev"]}"#;
        let annotations = json!({ "other": "stays", "stockade.dev/fail-safe": told });
        assert_eq!(switched, object(["Ignore", "Ignore"], &annotations));
        assert!(!engage(&mut switched, since));

        assert!(release(&mut switched));
        assert_eq!(switched, object(["Fail", "Ignore"], &json!({ "other": "stays" })));
        assert!(!release(&mut switched));
    }

    #[test]
    fn an_annotation_that_cannot_be_read_is_removed_and_the_leader_writes_the_rest() {
        let mut switched = object(["Ignore", "Ignore"], &json!({ "stockade.dev/fail-safe": "?" }));
        assert!(release(&mut switched));
        assert_eq!(switched, object(["Ignore", "Ignore"], &json!({})));
    }
}
