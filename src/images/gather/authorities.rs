//! Authorities with their keys and roots read, out of Secrets and ConfigMaps where they name some.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use stockade_policy::images::authority::{KeySource, MemberRef, TrustedRoot};
use stockade_policy::images::{Authority, AuthorityKind};

use super::Inner;
use super::caches::{Key, KeyOf};
use crate::expiring::Made;
use crate::verify::{ResolvedAuthority, Texts};

/// An authority that names nothing changes only with its policy, and has another id then.
const INLINE_HOLDS: Duration = Duration::from_secs(3_600);
/// How long after a Secret or ConfigMap changes the old key still counts.
const NAMED_HOLDS: Duration = Duration::from_secs(30);
/// How long it is believed that a Secret or ConfigMap is not there.
const FAILED_HOLDS: Duration = Duration::from_secs(2);
/// About what a trusted root has in memory beside its text.
const AUTHORITY_BYTES: usize = 64 << 10;

/// Reads members of Secrets and ConfigMaps in Stockade's own namespace.
pub trait MemberSource: Send + Sync {
    /// A member of a Secret.
    fn secret<'a>(&'a self, of: &'a MemberRef) -> BoxFuture<'a, Result<Arc<str>, NoMember>>;
    /// A member of a ConfigMap.
    fn config_map<'a>(&'a self, of: &'a MemberRef) -> BoxFuture<'a, Result<Arc<str>, NoMember>>;
}

/// A member cannot be read. Why, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoMember(pub Arc<str>);

/// Where there is no cluster there is no Secret.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCluster;

/// An authority, or why it cannot verify anything now.
#[derive(Clone)]
pub(super) enum ReadAuthority {
    Ready {
        authority: Arc<ResolvedAuthority>,
        /// What was read, which is in no id.
        texts: Key,
    },
    /// A Secret or ConfigMap cannot be read now.
    Unavailable(Arc<str>),
    /// What was read is no key, or no root.
    Broken(Arc<str>),
}

// === impl NoCluster ===

impl MemberSource for NoCluster {
    fn secret<'a>(&'a self, of: &'a MemberRef) -> BoxFuture<'a, Result<Arc<str>, NoMember>> {
        let why = format!("Secret {} is not read: there is no cluster", of.name);
        async move { Err(NoMember(why.into())) }.boxed()
    }

    fn config_map<'a>(&'a self, of: &'a MemberRef) -> BoxFuture<'a, Result<Arc<str>, NoMember>> {
        let why = format!("ConfigMap {} is not read: there is no cluster", of.name);
        async move { Err(NoMember(why.into())) }.boxed()
    }
}

// === impl Inner ===

impl Inner {
    pub(super) async fn authority(&self, authority: &Arc<Authority>) -> ReadAuthority {
        let read = self.caches.authorities.get_or(&authority.id, None, |_| self.read_authority(authority));
        read.await.value
    }

    async fn read_authority(&self, authority: &Arc<Authority>) -> Made<ReadAuthority> {
        let key = match &authority.kind {
            AuthorityKind::Key(key) => match &key.source {
                KeySource::Secret(of) => Some(self.members.secret(of).await),
                KeySource::Inline(_) => None,
            },
            _ => None,
        };
        let root = match &authority.trusted_root {
            TrustedRoot::ConfigMap(of) => Some(self.members.config_map(of).await),
            TrustedRoot::PublicGood | TrustedRoot::Inline(_) => None,
        };
        let holds = if key.is_some() || root.is_some() { NAMED_HOLDS } else { INLINE_HOLDS };
        let (key, root) = match (key.transpose(), root.transpose()) {
            (Ok(key), Ok(root)) => (key, root),
            (Err(NoMember(why)), _) | (_, Err(NoMember(why))) => {
                return Made { value: ReadAuthority::Unavailable(why), holds: FAILED_HOLDS, bytes: 0 };
            }
        };
        let texts = Texts { key: key.as_deref(), trusted_root: root.as_deref() };
        let read = [texts.key, texts.trusted_root];
        let read_key = read
            .iter()
            .fold(KeyOf::new(), |k, text| k.count(usize::from(text.is_some())).and(text.unwrap_or_default()));
        match ResolvedAuthority::new(authority, texts) {
            Ok(ready) => {
                let value = ReadAuthority::Ready { authority: Arc::new(ready), texts: read_key.finish() };
                Made { value, holds, bytes: AUTHORITY_BYTES }
            }
            Err(why) => Made { value: ReadAuthority::Broken(why.to_string().into()), holds: FAILED_HOLDS, bytes: 0 },
        }
    }
}
