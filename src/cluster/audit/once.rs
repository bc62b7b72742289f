//! Everything that exists, judged once: for the command line.

use std::time::Duration;

use bumpalo::Bump;
use prometheus_client::registry::Registry;
use stockade_cel::{Value, document};
use stockade_engine::audit::{Auditor, Existing, Judgement};
use stockade_engine::facts::ClusterFacts;
use stockade_engine::images::WithImages;
use stockade_images::{Images, InHand};
use tokio::runtime::Handle;

use super::kinds::{self, Kind};
use super::pace::Pace;
use super::page::{self, PAGE_OBJECTS, PageError, Position};
use crate::access::Access;
use crate::facts::{LiveFacts, Read, reads};

/// Pages a second, and at once.
const PAGES: (u32, u32) = (20, 40);
/// Longest wait for the API server's answer to what it serves and for what policies read.
const SYNC_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for the images of one object; somebody at a terminal waits for them.
const LOOK_TIME: Duration = Duration::from_secs(30);

/// Why not everything was judged.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// What is served is not known in time.
    #[error("the API server does not say what it serves within {SYNC_TIMEOUT:?}")]
    NotServed,
    /// What policies read is not known in time.
    #[error("this, which policies read, cannot be read: {}", reads.join(", "))]
    NotReady {
        /// Which: `v1 ConfigMap shop/limits`.
        reads: Vec<String>,
    },
    /// A list broke off.
    #[error("list of {resource}: {error}")]
    List {
        /// `deployments.apps`
        resource: String,
        /// Why.
        error: String,
    },
}

/// Judges all objects that some policy is about; `add` gets each with its judgement. Gives the resources that this
/// user may not list. Without `images` an auditor is needed that leaves out what is about them. Needs a multi-thread
/// runtime.
///
/// # Errors
/// See [`OnceError`].
pub async fn once(
    access: &Access,
    auditor: &Auditor,
    images: Option<&Images>,
    mut add: impl FnMut(&Existing<'_>, Judgement),
) -> Result<Vec<String>, OnceError> {
    let facts = LiveFacts::new(access, &mut Registry::default());
    let reads = reads::of_policies(auditor.policies().iter().map(|p| &**p));
    facts.hold(&reads);
    let snapshot = tokio::time::timeout(SYNC_TIMEOUT, facts.resources().ready()).await;
    let snapshot = snapshot.map_err(|_| OnceError::NotServed)?;
    let unread = facts.synced(&reads, SYNC_TIMEOUT).await;
    if !unread.is_empty() {
        return Err(OnceError::NotReady { reads: unread.iter().map(Read::to_string).collect() });
    }
    let (mut pace, mut unlisted) = (Pace::new(PAGES.0, PAGES.1), Vec::new());
    for (resource, kind) in kinds::audited(&snapshot, auditor.policies()) {
        let mut position = Position { namespace: None, token: None, limit: PAGE_OBJECTS };
        loop {
            pace.wait().await;
            let text = match page::fetch(&access.client, &kind, &position).await {
                Ok(text) => text,
                Err(PageError::Denied { .. }) => {
                    unlisted.push(resource.to_string());
                    break;
                }
                Err(PageError::TooLong) if position.limit > 1 => {
                    position.limit = (position.limit / 4).max(1);
                    continue;
                }
                Err(error) => return Err(broken(&resource, &error)),
            };
            let judge = || judge(&text, &kind, auditor, (&facts, images), &mut add);
            position.token = tokio::task::block_in_place(judge).map_err(|e| broken(&resource, &e))?;
            if position.token.is_none() {
                break;
            }
        }
    }
    Ok(unlisted)
}

/// Judges the items of a page; gives where the next one begins.
fn judge(
    text: &[u8],
    kind: &Kind,
    auditor: &Auditor,
    (facts, images): (&LiveFacts, Option<&Images>),
    add: &mut impl FnMut(&Existing<'_>, Judgement),
) -> Result<Option<String>, PageError> {
    let (page, mut scratch) = (Bump::new(), Bump::new());
    let list = document::decode(text, &page, auditor.symbols()).map_err(PageError::NoList)?;
    for item in list.get("items").and_then(Value::as_list).unwrap_or(&[]) {
        let existing = kind.existing(*item);
        let mut judge = |facts: &dyn ClusterFacts| {
            scratch.reset();
            auditor.judge(&existing, facts, &scratch)
        };
        let judgement = match images {
            Some(images) => Handle::current().block_on(settled(images, facts, &mut judge)),
            None => judge(facts),
        };
        add(&existing, judgement);
    }
    let token = list.path(&["metadata", "continue"]).and_then(Value::as_str).filter(|t| !t.is_empty());
    Ok(token.map(str::to_owned))
}

/// A judgement by what is found of images.
async fn settled(
    images: &Images,
    facts: &LiveFacts,
    judge: &mut impl FnMut(&dyn ClusterFacts) -> Judgement,
) -> Judgement {
    let with_images = |in_hand: &InHand| {
        let mut judgement = judge(&WithImages { facts, images: in_hand });
        let wanted = std::mem::take(&mut judgement.wanted);
        (judgement, wanted)
    };
    InHand::settled(images, LOOK_TIME, with_images).await.0
}

fn broken(resource: &str, error: &PageError) -> OnceError {
    OnceError::List { resource: resource.to_owned(), error: error.to_string() }
}
