//! What the Secret holds: read as leniently as possible, changed step by step, written whole.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use stockade_webhook::certs::{
    Authority, CertError, CertificateFacts, MintOptions, Pair, certificate_blocks, verify_authority, verify_serving,
};

use super::plan::{Facts, Plan};
use super::{Options, ROTATE_ANNOTATION};
use crate::replicas::NAME_LABEL;

/// Certificates and keys of the Secret. What is absent or not text is empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Material {
    /// `ca.crt`: certificates to trust, PEM. In a Secret of ours the first is the one that signs.
    pub(super) bundle: Vec<String>,
    /// `ca.key`
    authority_key: String,
    /// `tls.crt`, `tls.key`
    pub(super) serving: Pair,
    /// `next-ca.crt`, `next-ca.key`: an authority that does not sign yet.
    pub(super) next: Option<Pair>,
}

// === impl Material ===

impl Material {
    pub(super) fn read(secret: &Secret) -> Self {
        let text = |key: &str| {
            let bytes = secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.clone());
            String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
        };
        let next = Pair { certificate: text("next-ca.crt"), key: text("next-ca.key") };
        Self {
            bundle: certificate_blocks(&text("ca.crt")).map(|block| format!("{block}\n")).collect(),
            authority_key: text("ca.key"),
            serving: Pair { certificate: text("tls.crt"), key: text("tls.key") },
            next: Some(next).filter(|next| !next.certificate.is_empty()),
        }
    }

    /// The bundle as one text.
    pub(super) fn bundle_text(&self) -> String {
        self.bundle.concat()
    }

    /// Facts of the serving certificate when everybody who trusts the bundle accepts it.
    ///
    /// # Errors
    /// Why nobody would.
    pub(super) fn usable(&self, now: i64) -> Result<CertificateFacts, CertError> {
        verify_serving(&self.serving, self.bundle_text().as_bytes(), now)
    }

    /// What the next step depends on.
    pub(super) fn facts(&self, names: &[String], now: i64) -> Facts {
        let left = |authority: Option<Pair>| {
            let facts = verify_authority(&authority?, now).ok()?;
            Some(facts.not_after - now)
        };
        let serving = self.usable(now).ok();
        let next = self.next.as_ref().map(|next| block_of(&next.certificate));
        let others = self.bundle.iter().skip(1).filter(|block| Some(block_of(block)) != next);
        Facts {
            serving: serving.as_ref().map(|facts| facts.not_after - now),
            has_names: serving.is_some_and(|facts| names.iter().all(|name| facts.names.contains(&canonical(name)))),
            authority: left(self.authority()),
            next: left(self.next.clone()),
            others: others.count(),
            rotation_requested: false,
            is_lost: false,
        }
    }

    /// Takes a step.
    ///
    /// # Errors
    /// Minting fails.
    pub(super) fn after(&self, plan: Plan, options: &Options, now: i64) -> Result<Self, CertError> {
        let mint = MintOptions {
            names: options.names.clone(),
            validity: options.times.validity,
            authority_validity: options.times.authority_validity,
        };
        let mut after = self.clone();
        match plan {
            Plan::Wait | Plan::Restore => {}
            Plan::MintAll => {
                let authority = Authority::mint(&mint, now)?;
                after.serving = authority.issue(&mint, now)?;
                // Whoever is still trusted may still be serving somewhere.
                after.lead_with(authority.pair().clone());
                after.next = None;
            }
            Plan::Issue => {
                if let Some(pair) = self.authority() {
                    let validity = mint.validity.min(left_of(&pair, now));
                    after.serving = Authority::from_pair(pair).issue(&MintOptions { validity, ..mint }, now)?;
                }
            }
            Plan::BeginRotation => {
                let next = Authority::mint(&mint, now)?.pair().clone();
                after.bundle.push(next.certificate.clone());
                after.next = Some(next);
            }
            Plan::Sign => {
                if let Some(next) = after.next.take() {
                    after.serving = Authority::from_pair(next.clone()).issue(&mint, now)?;
                    after.lead_with(next);
                }
            }
            Plan::Retire => after.bundle.truncate(1),
        }
        Ok(after)
    }

    /// The Secret that holds this. What else is in the Secret stays, but for the request to rotate when it is met.
    pub(super) fn write(&self, over: Option<&Secret>, name: &str, meets_request: bool) -> Secret {
        let fresh = || Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some([(NAME_LABEL.0.to_owned(), NAME_LABEL.1.to_owned())].into()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        };
        let mut secret = over.cloned().unwrap_or_else(fresh);
        secret.metadata.managed_fields = None;
        if let Some(annotations) = &mut secret.metadata.annotations
            && meets_request
        {
            annotations.remove(ROTATE_ANNOTATION);
        }
        let next = self.next.as_ref();
        let fields = [
            ("ca.crt", Some(self.bundle_text())),
            ("ca.key", Some(self.authority_key.clone()).filter(|key| !key.is_empty())),
            ("tls.crt", Some(self.serving.certificate.clone())),
            ("tls.key", Some(self.serving.key.clone())),
            ("next-ca.crt", next.map(|next| next.certificate.clone())),
            ("next-ca.key", next.map(|next| next.key.clone())),
        ];
        let data: &mut BTreeMap<_, _> = secret.data.get_or_insert_default();
        for (key, text) in fields {
            match text {
                Some(text) => data.insert(key.to_owned(), ByteString(text.into_bytes())),
                None => data.remove(key),
            };
        }
        secret
    }

    /// The authority that signs; whether it can is not looked at.
    fn authority(&self) -> Option<Pair> {
        Some(Pair { certificate: self.bundle.first()?.clone(), key: self.authority_key.clone() })
    }

    /// Makes this the authority that signs.
    fn lead_with(&mut self, authority: Pair) {
        self.bundle.retain(|block| block_of(block) != block_of(&authority.certificate));
        self.bundle.insert(0, authority.certificate);
        self.authority_key = authority.key;
    }
}

/// A name as certificates tell it: addresses have one spelling there.
fn canonical(name: &str) -> String {
    name.parse::<IpAddr>().map_or_else(|_| name.to_owned(), |address| address.to_string())
}

/// One certificate's text, however it is surrounded.
fn block_of(text: &str) -> &str {
    certificate_blocks(text).next().unwrap_or_default()
}

/// How long an authority is still valid: what it signs must not outlive it.
fn left_of(authority: &Pair, now: i64) -> Duration {
    let left = verify_authority(authority, now).map_or(0, |facts| facts.not_after - now);
    Duration::from_secs(u64::try_from(left).unwrap_or(0))
}

#[cfg(test)]
pub(super) mod tests;
