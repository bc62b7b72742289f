//! The two configurations as the API server holds them. Both kinds have the same shape, so both are read as JSON.

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::{Configurations, NAME};
use crate::replicas::NAME_LABEL;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Validating,
    Mutating,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Validating, Self::Mutating];

    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Validating => "ValidatingWebhookConfiguration",
            Self::Mutating => "MutatingWebhookConfiguration",
        }
    }

    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Self::Validating => ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
            Self::Mutating => ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        }
    }

    pub(crate) fn api(self, client: &Client) -> Api<DynamicObject> {
        Api::all_with(client.clone(), &self.resource())
    }

    /// The desired `webhooks`.
    pub(crate) fn webhooks(self, configurations: &Configurations) -> Value {
        match self {
            Self::Validating => json!(configurations.validating.webhooks),
            Self::Mutating => json!(configurations.mutating.webhooks),
        }
    }

    /// An object that is not there yet.
    pub(crate) fn new_object(self) -> DynamicObject {
        let mut object = DynamicObject::new(NAME, &self.resource());
        object.metadata.labels = Some([(NAME_LABEL.0.to_owned(), NAME_LABEL.1.to_owned())].into());
        object
    }
}

/// Whether the object carries Stockade's label. One that does not was made by somebody else, by chance of this name.
pub(crate) fn is_ours(object: &DynamicObject) -> bool {
    let labels = object.metadata.labels.as_ref();
    labels.and_then(|l| l.get(NAME_LABEL.0)).is_some_and(|value| value == NAME_LABEL.1)
}

/// Its entries; empty when it has none.
pub(crate) fn webhooks(object: &DynamicObject) -> &[Value] {
    object.data.get("webhooks").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
