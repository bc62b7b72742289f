//! Places that all tenants share, and of which none may take all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of places, and how many of them one tenant may have: a namespace, whose name is empty for what has none.
#[derive(Debug)]
pub struct Shares {
    all: Arc<Semaphore>,
    each: usize,
    /// Of tenants that have a place or wait for one; bounded as these are. Held for a look-up, never over a wait.
    tenants: Mutex<HashMap<Arc<str>, Weak<Semaphore>>>,
}

/// Places that were taken, until this is dropped.
#[derive(Debug)]
pub struct Places {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

// === impl Shares ===

impl Shares {
    /// This many places, of which one tenant has at most `each`.
    pub fn new(all: usize, each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), each, tenants: Mutex::default() }
    }

    /// A place for a tenant, if there is one now.
    pub fn try_take(&self, tenant: &Arc<str>) -> Option<Places> {
        let own = self.of(tenant).try_acquire_owned().ok()?;
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Places { _own: own, _all: all })
    }

    /// Places for a tenant once there are so many, and no more than one tenant may have. They are taken at once: who
    /// holds a part and waits for more would hold up another who does. One tenant's wait is in its own queue.
    pub async fn take(&self, tenant: &Arc<str>, count: usize) -> Option<Places> {
        let count = u32::try_from(count.min(self.each)).unwrap_or(u32::MAX);
        // They err only when they are closed, and nobody does that.
        let own = self.of(tenant).acquire_many_owned(count).await.ok()?;
        let all = Arc::clone(&self.all).acquire_many_owned(count).await.ok()?;
        Some(Places { _own: own, _all: all })
    }

    fn of(&self, tenant: &Arc<str>) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tenants.get(tenant).and_then(Weak::upgrade) {
            return known;
        }
        tenants.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(self.each));
        tenants.insert(Arc::clone(tenant), Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn tenants() -> [Arc<str>; 3] {
        ["a", "b", "c"].map(Arc::from)
    }

    #[test]
    fn one_tenant_has_its_part_and_leaves_the_rest_to_others() {
        let shares = Shares::new(5, 2);
        let [a, b, c] = tenants();
        let held = [&a, &a, &a, &b, &b, &b, &c, &c].map(|tenant| shares.try_take(tenant));
        let has = held.each_ref().map(Option::is_some);
        assert_eq!(has, [true, true, false, true, true, false, true, false]);
        drop(held);
        assert!(shares.try_take(&a).is_some());
        assert_eq!(shares.tenants.lock().unwrap().len(), 1, "who has none is forgotten");
    }

    #[test]
    fn who_waits_for_its_part_holds_up_nobody_else() {
        let shares = Shares::new(5, 2);
        let [a, b, _] = tenants();
        let held = shares.take(&a, 2).now_or_never().unwrap();
        assert!(shares.take(&a, 1).now_or_never().is_none());
        assert!(shares.take(&b, 100).now_or_never().is_some(), "no more than its part");
        drop(held);
        assert!(shares.take(&a, 1).now_or_never().is_some());
    }
}
