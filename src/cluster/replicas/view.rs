//! The live replicas: Leases as a watch shows them, less those that fell silent.
//!
//! Silence is a replica's only when others could have been heard. So before one is given up the Leases are listed; while
//! that fails nobody's silence counts, and everybody has a whole term from the last failure on.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use super::{COMPONENT_LABEL, NAME_LABEL, OBSERVED_ANNOTATION, READY_ANNOTATION, Replica, Times, bounded, own::PREFIX};
use crate::policies::Observed;

/// Most Leases that are looked at, far beyond what anybody runs: more are somebody's mistake.
const MAX_REPLICAS: usize = 64;
/// Longest term that a Lease is believed.
const MAX_TERM: Duration = Duration::from_secs(120);

/// Publishes the live replicas whenever they change.
pub(super) async fn keep(api: Api<Lease>, times: Times, publish: watch::Sender<Arc<[Replica]>>) {
    let labels = format!("{}={},{}={}", NAME_LABEL.0, NAME_LABEL.1, COMPONENT_LABEL.0, COMPONENT_LABEL.1);
    let mut events = std::pin::pin!(stockade_watch::watch(api.clone(), watcher::Config::default().labels(&labels)));
    let mut view = View::default();
    // Set while the API server does not answer.
    let mut ask_again = None;
    loop {
        let next = ask_again.into_iter().chain(view.first_end()).min();
        let silence = async {
            match next {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.next() => match event {
                Some(event) => view.event(event, Instant::now()),
                None => return,
            },
            () = silence => {
                let params = ListParams::default().labels(&labels).limit(MAX_REPLICAS as u32);
                let list = bounded(api.list(&params)).await;
                let now = Instant::now();
                match list {
                    Ok(list) => {
                        ask_again = None;
                        for lease in &list.items {
                            view.applied(lease, now);
                        }
                        view.expire(now);
                    }
                    Err(_) => {
                        ask_again = Some(now + times.retry);
                        view.hear_nobody(now);
                    }
                }
            }
        }
        let live = view.live();
        publish.send_if_modified(|before| {
            let changed = **before != *live;
            if changed {
                *before = live;
            }
            changed
        });
    }
}

/// What is known of the Leases, by name.
#[derive(Default)]
struct View {
    peers: BTreeMap<String, Peer>,
    /// Names in the list that is being received.
    listing: Option<BTreeSet<String>>,
}

struct Peer {
    replica: Replica,
    version: Option<String>,
    term: Duration,
    /// When it counts as silent; none when it was given up, until it speaks again.
    end: Option<Instant>,
}

// === impl View ===

impl View {
    fn event(&mut self, event: Event<Lease>, now: Instant) {
        match event {
            Event::Init => self.listing = Some(BTreeSet::new()),
            Event::InitApply(lease) => {
                self.listing.get_or_insert_default().extend(lease.metadata.name.clone());
                self.applied(&lease, now);
            }
            Event::InitDone => {
                let listed = self.listing.take().unwrap_or_default();
                self.peers.retain(|name, _| listed.contains(name));
            }
            Event::Apply(lease) => self.applied(&lease, now),
            Event::Delete(lease) => {
                self.peers.remove(lease.metadata.name.as_deref().unwrap_or_default());
            }
        }
    }

    /// A Lease as it is; whoever changed it lives.
    fn applied(&mut self, lease: &Lease, now: Instant) {
        let name = lease.metadata.name.clone().unwrap_or_default();
        let Some(identity) = name.strip_prefix(PREFIX) else { return };
        let annotation = |key| lease.metadata.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str);
        let replica = Replica {
            identity: identity.to_owned(),
            ready: annotation(READY_ANNOTATION) == Some("true"),
            observed: annotation(OBSERVED_ANNOTATION).map(Observed::parse).unwrap_or_default(),
        };
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
        let term = Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(MAX_TERM);
        let version = lease.metadata.resource_version.clone();
        let has_room = self.peers.len() < MAX_REPLICAS;
        match self.peers.entry(name) {
            Entry::Occupied(same) if same.get().version == version => {}
            Entry::Occupied(mut older) => *older.get_mut() = Peer { replica, version, term, end: Some(now + term) },
            Entry::Vacant(new) if has_room => {
                new.insert(Peer { replica, version, term, end: Some(now + term) });
            }
            Entry::Vacant(_) => tracing::warn!(bound = MAX_REPLICAS, "more Leases of replicas than are looked at"),
        }
    }

    /// When the first of the live falls silent.
    fn first_end(&self) -> Option<Instant> {
        self.peers.values().filter_map(|peer| peer.end).min()
    }

    /// Gives up those who were silent for their term.
    fn expire(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            if peer.end.is_some_and(|end| end <= now) {
                tracing::info!(replica = peer.replica.identity, "replica silent for its term, no longer counted");
                peer.end = None;
            }
        }
    }

    /// Starts everybody's term anew.
    fn hear_nobody(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.end = peer.end.map(|_| now + peer.term);
        }
    }

    fn live(&self) -> Arc<[Replica]> {
        self.peers.values().filter(|peer| peer.end.is_some()).map(|peer| peer.replica.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
