//! What the expressions of a decision are told of images.
//!
//! An image that nobody has looked at is wanted, and an error meanwhile: loops go on after it, so that one decision finds
//! all images that an expression asks about. What is decided with such an error is no verdict.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use stockade_cel::Value;
use stockade_policy::compiled::PolicySet;
use stockade_policy::images::{ImageQuestions, ImageReference};

use super::request::{credentials, wanted_by_expressions};
use super::{Evidence, ImageFacts, MAX_WANTED, NOBODY_LOOKS, Wanted};

/// What was told so far. One policy is told of one image once, however often it asks: what is known may be forgotten while
/// the decision is made, and a tag may move.
pub(crate) struct Asked<'f> {
    facts: Option<&'f dyn ImageFacts>,
    set: &'f PolicySet,
    namespace: &'f str,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    known: HashMap<Key, Arc<Evidence>>,
    /// In the order in which it was asked.
    wanted: Vec<(Key, Wanted)>,
}

/// Who asks about which image, on behalf of which object. Addresses stay as long as the decision takes.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    questions: usize,
    object: usize,
    reference: ImageReference,
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unknown {
    /// No registry is looked at.
    #[error("{NOBODY_LOOKS}")]
    NobodyLooks,
    /// Of more images nothing is found out.
    #[error("more than {MAX_WANTED} images are asked about")]
    TooMany,
    /// It is wanted.
    #[error("image {0} has not been looked at")]
    NotYet(ImageReference),
}

// === impl Asked ===

impl<'f> Asked<'f> {
    /// Nothing told yet, for a request in this namespace.
    pub(crate) fn new(facts: Option<&'f dyn ImageFacts>, set: &'f PolicySet, namespace: &'f str) -> Self {
        Self { facts, set, namespace, told: Mutex::default() }
    }

    /// Images that have to be looked at first.
    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.wanted.iter().map(|(_, wanted)| wanted.clone()).collect()
    }

    /// What is known of an image, as the pull secrets of an object tell it.
    ///
    /// # Errors
    /// Nothing is.
    pub(crate) fn evidence(
        &self,
        questions: &ImageQuestions,
        object: Value<'_>,
        reference: ImageReference,
    ) -> Result<Arc<Evidence>, Unknown> {
        let facts = self.facts.ok_or(Unknown::NobodyLooks)?;
        let address = object.as_object().map_or(0, |o| std::ptr::from_ref(o).addr());
        let key = Key { questions: std::ptr::from_ref(questions).addr(), object: address, reference };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = told.known.get(&key) {
            return Ok(Arc::clone(known));
        }
        if told.wanted.iter().any(|(known, _)| *known == key) {
            return Err(Unknown::NotYet(key.reference));
        }
        if told.known.len() + told.wanted.len() >= MAX_WANTED {
            return Err(Unknown::TooMany);
        }
        let credentials = credentials(self.namespace, object);
        let wanted = wanted_by_expressions(&key.reference, questions, self.set, credentials);
        if let Some(evidence) = facts.evidence(&wanted) {
            told.known.insert(key, Arc::clone(&evidence));
            return Ok(evidence);
        }
        let reference = key.reference.clone();
        told.wanted.push((key, wanted));
        Err(Unknown::NotYet(reference))
    }
}
