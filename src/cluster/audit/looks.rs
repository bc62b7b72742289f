//! How the audit looks at images: a few at a time, at a steady rate, and not at registries that do not answer. Requests
//! have the other places, and nobody waits for an audit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use stockade_engine::images::{Evidence, Wanted};
use stockade_images::gather::MAX_BACKGROUND;
use stockade_images::{BackOff, Images, InHand};
use tokio::time::{Instant, timeout_at};

use super::pace::Pace;

/// Images a second, and at once.
const LOOKS: (u32, u32) = (20, 40);
/// Time for one image.
const LOOK_TIME: Duration = Duration::from_secs(10);
/// How long it takes at least to find out that a registry does not answer. One that is not there tells so at once, and
/// may be asked as often as there is something to ask.
const SLOW: Duration = Duration::from_secs(2);
/// Looks in a row that were slow and in vain, after which a registry is left alone.
const MAX_LATE: u32 = 3;
/// How long it is: first, and at most.
const SILENCE: BackOff = BackOff { first: Duration::from_secs(60), longest: Duration::from_secs(900) };
/// Most registries that are remembered for not answering; of more, each costs its time.
const MAX_SILENT: usize = 256;

/// Why an image is unavailable whose registry is left alone.
const LEFT_ALONE: &str = "its registry did not answer when the audit asked it before, and is asked again later";
/// Why an image is unavailable for which there was no time.
const NO_TIME: &str = "the audit has not looked at it yet";

/// Looks for the audit of one replica.
pub(crate) struct Looks {
    images: Images,
    pace: Pace,
    registries: HashMap<Arc<str>, Lateness>,
}

/// How late a registry was when it was last asked.
#[derive(Debug, Clone, Copy, Default)]
struct Lateness {
    in_a_row: u32,
    /// How often in a row it was left alone.
    silences: u32,
    until: Option<Instant>,
}

// === impl Looks ===

impl Looks {
    pub(crate) fn new(images: Images) -> Self {
        Self { images, pace: Pace::new(LOOKS.0, LOOKS.1), registries: HashMap::new() }
    }

    /// What is remembered.
    pub(crate) fn begin(&self) -> InHand {
        InHand::new(self.images.clone())
    }

    /// Looks at what is wanted, in order, until the time is over: from then on everything that was not looked at is
    /// unavailable. What there is no room for is left to be wanted again, but of the first `needed`.
    pub(crate) async fn look(&mut self, in_hand: &mut InHand, wanted: &[Wanted], needed: usize, until: Instant) {
        if in_hand.is_full() {
            *in_hand = self.begin();
        }
        for (number, some) in wanted.chunks(MAX_BACKGROUND).enumerate() {
            if Instant::now() >= until {
                return in_hand.close(NO_TIME);
            }
            let mut asked = Vec::new();
            for wanted in some {
                if self.is_left_alone(wanted) {
                    in_hand.refuse(wanted, LEFT_ALONE);
                    continue;
                }
                self.pace.wait().await;
                let images = &self.images;
                asked.push(async move { (wanted, look(images, wanted, until).await) });
            }
            let mut room = true;
            for (wanted, found) in join_all(asked).await {
                let Some((evidence, is_late)) = found else {
                    return in_hand.close(NO_TIME);
                };
                self.asked(wanted, is_late);
                room &= in_hand.take(wanted, evidence);
                if !room && number * MAX_BACKGROUND < needed {
                    in_hand.refuse_without_room(wanted);
                }
            }
            if !room && (number + 1) * MAX_BACKGROUND >= needed {
                return;
            }
        }
    }

    fn is_left_alone(&self, wanted: &Wanted) -> bool {
        let lateness = self.registries.get(wanted.reference.registry());
        lateness.and_then(|l| l.until).is_some_and(|until| Instant::now() < until)
    }

    /// Remembers whether a registry answered in time.
    fn asked(&mut self, wanted: &Wanted, is_late: bool) {
        let host = wanted.reference.registry();
        if !is_late {
            self.registries.remove(host);
            return;
        }
        if self.registries.len() >= MAX_SILENT && !self.registries.contains_key(host) {
            return;
        }
        let (lateness, now) = (self.registries.entry(host.into()).or_default(), Instant::now());
        lateness.in_a_row += 1;
        if lateness.in_a_row >= MAX_LATE && lateness.until.is_none_or(|until| until <= now) {
            lateness.silences += 1;
            lateness.until = Some(now + SILENCE.after(lateness.silences));
        }
    }
}

/// What was found of one image, and whether its registry was slow to say nothing; none when the time for all was over
/// before.
async fn look(images: &Images, wanted: &Wanted, until: Instant) -> Option<(Arc<Evidence>, bool)> {
    let place = timeout_at(until, images.background_place(wanted)).await.ok()??;
    let started = Instant::now();
    let found = timeout_at(until, images.look_in_background(place, wanted.clone(), LOOK_TIME)).await.ok()?;
    let is_late = found.is_unavailable() && started.elapsed() >= SLOW;
    Some((found, is_late))
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use stockade_engine::images::{Answer, Credentials, ImageFacts as _};
    use stockade_images::gather::NoCluster;
    use stockade_policy::images::authority::{HashAlgorithm, KeyAuthority, KeySource, Need, TrustedRoot};
    use stockade_policy::images::{Authority, AuthorityKind, ImageReference, RegistrySettings};
    use tokio::net::TcpListener;

    use super::*;

    fn looks() -> Looks {
        Looks::new(Images::new(Vec::new(), Arc::new(NoCluster), &mut Registry::default()))
    }

    fn wanted(host: &str, name: &str) -> Wanted {
        let key = KeyAuthority { source: KeySource::Inline("".into()), hash: HashAlgorithm::Sha256 };
        let (kind, no) = (AuthorityKind::Key(key), Need::NotRequired);
        let settings = RegistrySettings {
            host: host.into(),
            mirrors: Vec::new(),
            ca_bundle: None,
            plain_http: true,
            allow_private_addresses: true,
        };
        Wanted {
            reference: ImageReference::parse(&format!("{host}/{name}:1")).unwrap(),
            authorities: vec![Arc::new(Authority::new("a".into(), kind, no, no, TrustedRoot::PublicGood))],
            attestations: Vec::new(),
            details: false,
            registry: Some(Arc::new(settings)),
            credentials: Credentials::default(),
        }
    }

    /// The words with which an image is unavailable.
    fn why(in_hand: &InHand, wanted: &Wanted) -> String {
        match &in_hand.evidence(wanted).unwrap().signatures[0].1 {
            Answer::Unavailable(why) => why.to_string(),
            answer => answer.name().to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_hangs_is_left_alone_for_a_while_and_holds_up_no_other() {
        // Takes connections, and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let mut looks = looks();
        let images: Vec<_> = (0..40).map(|n| wanted(&host, &format!("app-{n}"))).collect();
        let until = || Instant::now() + Duration::from_secs(3_600);
        let (mut in_hand, begin) = (looks.begin(), Instant::now());
        looks.look(&mut in_hand, &images, 40, until()).await;
        assert!(begin.elapsed() < 2 * LOOK_TIME, "{:?}", begin.elapsed());
        let told: Vec<_> = images.iter().map(|image| why(&in_hand, image)).collect();
        assert!(told[..MAX_BACKGROUND].iter().all(|why| why != LEFT_ALONE));
        assert!(told[MAX_BACKGROUND..].iter().all(|why| why == LEFT_ALONE), "{told:?}");

        let other = [wanted("127.0.0.1:1", "app")];
        looks.look(&mut in_hand, &other, 1, until()).await;
        assert_ne!(why(&in_hand, &other[0]), LEFT_ALONE);

        tokio::time::advance(2 * SILENCE.first).await;
        let (mut in_hand, begin) = (looks.begin(), Instant::now());
        looks.look(&mut in_hand, &images[..1], 1, until()).await;
        assert!(begin.elapsed() >= SLOW && why(&in_hand, &images[0]) != LEFT_ALONE);
        assert!(looks.is_left_alone(&images[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_there_is_no_time_for_is_unavailable_and_nothing_is_wanted_any_more() {
        let (mut looks, images) = (looks(), [wanted("127.0.0.1:1", "app")]);
        let mut in_hand = looks.begin();
        assert!(in_hand.evidence(&images[0]).is_none());
        looks.look(&mut in_hand, &images, 1, Instant::now()).await;
        assert_eq!(why(&in_hand, &images[0]), NO_TIME);
        assert!(in_hand.take_told_unavailable() && !in_hand.take_told_unavailable());
    }
}
