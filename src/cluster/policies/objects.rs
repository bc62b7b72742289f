//! The watches of all kinds of policy objects as one stream.

use futures_util::stream::{SelectAll, select_all};
use futures_util::{Stream, StreamExt as _};
use kube::Api;
use kube::core::DynamicObject;
use kube::runtime::watcher::{Config, Event};

use super::{CONFIG_MAP_LABEL, SourceKind};
use crate::access::Access;
use crate::watch::watch;

/// What the watches tell, each event with its kind. Never ends.
pub(super) fn events(
    access: &Access,
) -> SelectAll<impl Stream<Item = (SourceKind, Event<DynamicObject>)> + Send + use<>> {
    select_all(SourceKind::OBJECTS.map(|kind| {
        let (client, resource) = (access.client.clone(), kind.api_resource());
        let (api, config) = match kind {
            SourceKind::ConfigMap => {
                let (key, value) = CONFIG_MAP_LABEL;
                let config = Config::default().labels(&format!("{key}={value}"));
                (Api::namespaced_with(client, &access.namespace, &resource), config)
            }
            _ => (Api::all_with(client, &resource), Config::default()),
        };
        watch(api, config).map(move |event| (kind, event)).boxed()
    }))
}
