//! Watches the Secret, publishes what it holds, and as leader takes one step after the other.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use stockade_webhook::certs::{CertError, Pair};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::followed::Followed;
use super::material::Material;
use super::plan::{Plan, Since, plan};
use super::registered::{all_hold, authorities, bundles};
use super::{CertificateMetrics, Options, Ownership, ROTATE_ANNOTATION, WriteLabel};
use crate::access::{Access, FIELD_MANAGER};
use crate::replicas::{Leadership, RequestError, bounded};

/// Where the Secret's content goes.
pub(super) struct Publish {
    pub(super) serving: watch::Sender<Option<Arc<Pair>>>,
    pub(super) bundle: watch::Sender<Option<Arc<str>>>,
    pub(super) metrics: CertificateMetrics,
}

/// Keeper of the Secret.
pub(super) struct Keeper {
    client: Client,
    api: Api<Secret>,
    leadership: Leadership,
    options: Options,
    publish: Publish,
    /// The Secret as it is; none when there is none.
    secret: Option<Secret>,
    /// What it held when it could last be used.
    good: Option<Good>,
    /// What is served of a Secret that is somebody else's; none until it is known what registrations carry.
    followed: Option<Followed>,
    /// Authorities to come that all registrations carry, PEM, and since when.
    confirmed: Option<(String, Instant)>,
    /// What went wrong at the last attempt to write, so that it is told once.
    failing: Option<String>,
}

struct Good {
    material: Material,
    /// Since when the Secret holds it.
    since: Instant,
    /// It has been deleted or damaged.
    is_lost: bool,
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Certificate(#[from] CertError),
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(access: &Access, leadership: Leadership, options: Options, publish: Publish) -> Self {
        let api = Api::namespaced(access.client.clone(), &access.namespace);
        let (secret, good, followed, confirmed, failing) = Default::default();
        let client = access.client.clone();
        Self { client, api, leadership, options, publish, secret, good, followed, confirmed, failing }
    }

    pub(super) async fn run(mut self) {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.options.secret));
        let mut events = std::pin::pin!(stockade_watch::watch(self.api.clone(), config));
        let mut looks = tokio::time::interval(self.options.times.check);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_synced = false;
        // Absent until the list shows it.
        let mut listed = None;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    None => return,
                    Some(Event::Init) => listed = None,
                    Some(Event::InitApply(secret)) => listed = Some(secret),
                    Some(Event::InitDone) => {
                        is_synced = true;
                        self.see(listed.take());
                        looks.reset_immediately();
                    }
                    Some(Event::Apply(secret)) => self.see(Some(secret)),
                    Some(Event::Delete(_)) => self.see(None),
                },
                _ = looks.tick() => {
                    let is_due = match self.options.ownership {
                        Ownership::Ours => *self.leadership.borrow(),
                        Ownership::Foreign => true,
                    };
                    if is_synced && is_due {
                        self.look().await;
                    }
                }
            }
        }
    }

    /// The Secret is now this.
    fn see(&mut self, secret: Option<Secret>) {
        let material = secret.as_ref().map(Material::read);
        self.secret = secret;
        let usable = material.as_ref().map(|material| material.usable(unix_now()));
        match (material, usable) {
            (Some(material), Some(Ok(_))) => {
                self.publish.metrics.unusable.set(0);
                match self.options.ownership {
                    Ownership::Ours => self.publish.tell(Some(Arc::new(material.serving.clone())), &material.bundle),
                    Ownership::Foreign => self.offer(material.clone()),
                }
                let is_same = self.good.as_ref().is_some_and(|good| good.material == material && !good.is_lost);
                if !is_same {
                    self.good = Some(Good { material, since: Instant::now(), is_lost: false });
                }
            }
            (_, usable) => {
                self.publish.metrics.unusable.set(1);
                if let Some(good) = &mut self.good {
                    good.is_lost = true;
                }
                let name = &*self.options.secret;
                match usable {
                    Some(Err(error)) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(secret = name, error, "the certificate Secret cannot be used");
                    }
                    _ if self.good.is_some() => {
                        tracing::error!(secret = name, "the certificate Secret is gone, its last content is served");
                    }
                    _ => tracing::info!(secret = name, "there is no certificate Secret yet"),
                }
            }
        }
    }

    /// Takes the step that is due, if any.
    async fn look(&mut self) {
        let taken = match self.options.ownership {
            Ownership::Ours => self.step().await,
            Ownership::Foreign => self.follow().await.map(|()| Plan::Wait),
        };
        match taken {
            Ok(Plan::Wait) => self.failing = None,
            Ok(plan) => {
                self.failing = None;
                self.publish.metrics.writes.get_or_create(&WriteLabel { step: plan.name() }).inc();
                tracing::info!(secret = self.options.secret, step = plan.name(), "certificate Secret written");
            }
            Err(error) => {
                let text = error.to_string();
                if self.failing.as_ref() != Some(&text) {
                    tracing::error!(error = text, "a step of the certificate Secret failed, trying again");
                    self.failing = Some(text);
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Plan, StepError> {
        let now = unix_now();
        // Nothing remembered: what there is may still be worth something.
        let found = || self.secret.as_ref().map(Material::read).unwrap_or_default();
        let material = self.good.as_ref().map_or_else(found, |good| good.material.clone());
        let mut facts = material.facts(&self.options.names, now);
        facts.is_lost = self.good.as_ref().is_some_and(|good| good.is_lost);
        let annotations = self.secret.as_ref().and_then(|secret| secret.metadata.annotations.as_ref());
        facts.rotation_requested = annotations.is_some_and(|all| all.contains_key(ROTATE_ANNOTATION));
        let since = Since {
            confirmed: self.confirm(material.next.as_ref().map(|next| next.certificate.clone())).await?,
            unchanged: self.good.as_ref().map(|good| good.since.elapsed()).unwrap_or_default(),
        };
        let plan = plan(&facts, since, &self.options.times);
        if plan == Plan::Wait {
            return Ok(plan);
        }
        if facts.is_lost {
            tracing::error!(secret = self.options.secret, step = plan.name(), "repairing the certificate Secret");
        }
        let after = material.after(plan, &self.options, now)?;
        let secret = after.write(self.secret.as_ref(), &self.options.secret, plan == Plan::BeginRotation);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        // The version that was read, or a name that must not exist: of several writers one succeeds.
        match &self.secret {
            Some(_) => bounded(self.api.replace(&self.options.secret, &params, &secret)).await?,
            None => bounded(self.api.create(&params, &secret)).await?,
        };
        Ok(plan)
    }

    /// Looks whether what the Secret brought can be served now.
    async fn follow(&mut self) -> Result<(), StepError> {
        if self.followed.is_none() {
            let registered = bounded(bundles(&self.client, &self.options.registration)).await?;
            self.followed = Some(Followed::beginning(authorities(&registered), Instant::now()));
            if let Some(material) = self.good.as_ref().map(|good| good.material.clone()) {
                self.offer(material);
            }
        }
        let awaits = self.followed.as_ref().and_then(Followed::awaits);
        let confirmed = self.confirm(awaits).await?;
        if let Some(followed) = &mut self.followed {
            followed.look(confirmed, &self.options.times, Instant::now());
        }
        self.tell_followed();
        Ok(())
    }

    fn offer(&mut self, material: Material) {
        if let Some(followed) = &mut self.followed {
            followed.offer(material, unix_now(), Instant::now());
        }
        self.tell_followed();
    }

    fn tell_followed(&self) {
        if let Some((serving, bundle)) = self.followed.as_ref().and_then(Followed::published) {
            self.publish.tell(serving, &bundle);
        }
    }

    /// For how long all registrations have carried these authorities (PEM), asked of the API server.
    async fn confirm(&mut self, coming: Option<String>) -> Result<Option<Duration>, StepError> {
        let before = self.confirmed.take();
        let Some(coming) = coming else { return Ok(None) };
        let registered = bounded(bundles(&self.client, &self.options.registration)).await?;
        if !all_hold(&registered, &coming) {
            return Ok(None);
        }
        let (coming, since) = before.filter(|(before, _)| *before == coming).unwrap_or_else(|| {
            tracing::info!(webhooks = registered.len(), "all registrations carry the authority to come");
            (coming, Instant::now())
        });
        self.confirmed = Some((coming, since));
        Ok(Some(since.elapsed()))
    }
}

// === impl Publish ===

impl Publish {
    fn tell(&self, serving: Option<Arc<Pair>>, bundle: &[String]) {
        let text: Arc<str> = bundle.concat().into();
        let authorities = stockade_webhook::certs::inspect(text.as_bytes()).unwrap_or_default();
        if let Some(authority) = authorities.first() {
            self.metrics.authority_expiry.set(authority.not_after);
        }
        replace(&self.bundle, text);
        if let Some(serving) = serving {
            replace(&self.serving, serving);
        }
    }
}

/// Tells only of changes.
fn replace<T: PartialEq>(publish: &watch::Sender<Option<T>>, value: T) {
    publish.send_if_modified(|before| {
        let is_new = before.as_ref() != Some(&value);
        if is_new {
            *before = Some(value);
        }
        is_new
    });
}

/// Seconds since the epoch; 0 before it.
fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}
