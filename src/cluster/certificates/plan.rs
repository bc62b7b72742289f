//! What to do with the Secret next: a function of what it holds and how long it has held it.

use std::time::Duration;

use super::Times;

/// What a Secret holds, as far as the next step depends on it. Times are seconds left, negative when over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// A serving certificate that clients who trust the bundle accept.
    pub(super) serving: Option<i64>,
    /// Whether that certificate has all names.
    pub(super) has_names: bool,
    /// The authority that signs, with its key.
    pub(super) authority: Option<i64>,
    /// The authority that is to sign, with its key.
    pub(super) next: Option<i64>,
    /// Certificates in the bundle beside those two.
    pub(super) others: usize,
    /// A person asked for another authority.
    pub(super) rotation_requested: bool,
    /// These are not what the Secret holds but what it held before it was deleted or damaged.
    pub(super) is_lost: bool,
}

/// How long things have been so, as far as this replica saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Since {
    /// All registrations carry the next authority. None: not all do.
    pub(super) confirmed: Option<Duration>,
    /// The Secret holds the certificates that it holds.
    pub(super) unchanged: Duration,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing is due.
    Wait,
    /// There is nothing to go on from: a new authority and certificate at once.
    MintAll,
    /// Write again what was there.
    Restore,
    /// A new serving certificate by the authority that signs.
    Issue,
    /// A new authority into the bundle.
    BeginRotation,
    /// The new authority signs.
    Sign,
    /// What no longer signs leaves the bundle.
    Retire,
}

// === impl Plan ===

impl Plan {
    /// As metrics and logs call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::MintAll => "mint_all",
            Self::Restore => "restore",
            Self::Issue => "issue",
            Self::BeginRotation => "begin_rotation",
            Self::Sign => "sign",
            Self::Retire => "retire",
        }
    }
}

/// Decides. Of several things that are due the one comes first without which requests would fail soonest.
pub(super) fn plan(facts: &Facts, since: Since, times: &Times) -> Plan {
    let is_due = |left: i64, of: Duration| left < (of.as_secs() / 3) as i64;
    let Some(left) = facts.serving else {
        return match (facts.authority, facts.next) {
            (Some(_), _) => Plan::Issue,
            (None, Some(_)) => Plan::Sign,
            (None, None) => Plan::MintAll,
        };
    };
    if facts.is_lost {
        // Whoever deletes such a Secret may want that authority gone.
        return if facts.next.is_some() { Plan::Restore } else { Plan::BeginRotation };
    }
    if facts.authority.is_some() && (is_due(left, times.validity) || !facts.has_names) {
        return Plan::Issue;
    }
    if facts.next.is_some() {
        return if since.confirmed.is_some_and(|time| time >= times.settle) { Plan::Sign } else { Plan::Wait };
    }
    if facts.others > 0 {
        return if since.unchanged >= times.retire { Plan::Retire } else { Plan::Wait };
    }
    if facts.rotation_requested || facts.authority.is_none_or(|left| is_due(left, times.authority_validity)) {
        return Plan::BeginRotation;
    }
    Plan::Wait
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        validity: Duration::from_secs(90),
        authority_validity: Duration::from_secs(900),
        settle: Duration::from_secs(20),
        retire: Duration::from_secs(60),
        check: Duration::from_secs(1),
    };
    const STEADY: Facts = Facts {
        serving: Some(80),
        has_names: true,
        authority: Some(800),
        next: None,
        others: 0,
        rotation_requested: false,
        is_lost: false,
    };
    const NOW: Since = Since { confirmed: None, unchanged: Duration::ZERO };

    #[test]
    fn each_state_has_its_step() {
        let after = |seconds| Since { unchanged: Duration::from_secs(seconds), ..NOW };
        let confirmed = |seconds| Since { confirmed: Some(Duration::from_secs(seconds)), ..NOW };
        let trusting = Facts { next: Some(900), ..STEADY };
        let retiring = Facts { others: 1, ..STEADY };
        let nothing = Facts { serving: None, has_names: false, authority: None, ..STEADY };
        let table = [
            ("all is well", STEADY, after(10_000), Plan::Wait),
            ("nothing is there", nothing, NOW, Plan::MintAll),
            ("nothing is there, and somebody asks", Facts { rotation_requested: true, ..nothing }, NOW, Plan::MintAll),
            ("a third of the certificate is left", Facts { serving: Some(30), ..STEADY }, NOW, Plan::Wait),
            ("less than a third is left", Facts { serving: Some(29), ..STEADY }, NOW, Plan::Issue),
            ("a name is missing", Facts { has_names: false, ..STEADY }, NOW, Plan::Issue),
            ("the certificate is gone", Facts { serving: None, ..STEADY }, NOW, Plan::Issue),
            ("a third of the authority is left", Facts { authority: Some(300), ..STEADY }, NOW, Plan::Wait),
            ("less than a third is left of it", Facts { authority: Some(299), ..STEADY }, NOW, Plan::BeginRotation),
            ("its key is gone", Facts { authority: None, ..STEADY }, NOW, Plan::BeginRotation),
            ("a person asks", Facts { rotation_requested: true, ..STEADY }, NOW, Plan::BeginRotation),
            ("in the bundle only", trusting, after(10_000), Plan::Wait),
            ("in all registrations, not settled", trusting, confirmed(19), Plan::Wait),
            ("settled", trusting, confirmed(20), Plan::Sign),
            ("renewal while it settles", Facts { serving: Some(29), ..trusting }, confirmed(5), Plan::Issue),
            (
                "no key to renew with while it settles",
                Facts { serving: Some(29), authority: None, ..trusting },
                confirmed(5),
                Plan::Wait,
            ),
            ("and then it is over", Facts { serving: None, authority: None, ..trusting }, confirmed(5), Plan::Sign),
            ("the new one signs", retiring, after(59), Plan::Wait),
            ("long enough", retiring, after(60), Plan::Retire),
            ("asked again meanwhile", Facts { rotation_requested: true, ..retiring }, after(5), Plan::Wait),
            ("renewal meanwhile", Facts { serving: Some(29), ..retiring }, after(5), Plan::Issue),
            ("deleted", Facts { is_lost: true, ..STEADY }, NOW, Plan::BeginRotation),
            ("deleted while it settles", Facts { is_lost: true, ..trusting }, confirmed(50), Plan::Restore),
            ("deleted while it retires", Facts { is_lost: true, ..retiring }, after(90), Plan::BeginRotation),
            ("deleted, nothing remembered", Facts { is_lost: true, ..nothing }, NOW, Plan::MintAll),
        ];
        for (state, facts, since, wanted) in table {
            assert_eq!(plan(&facts, since, &TIMES), wanted, "{state}");
        }
    }
}
