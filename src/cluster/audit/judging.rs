//! A page judged: at once where nothing has to be looked at, otherwise in rounds with looks at images between them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stockade_images::{Images, InHand};
use tokio::time::Instant;

use super::looks::Looks;
use super::page::{Judge, Judged, Page, PageError, Round};

/// Longest time for the images of one page; what was not looked at by then is unavailable, and judged again later. Until
/// then the page is in memory, and what changes elsewhere waits.
const PAGE_TIME: Duration = Duration::from_secs(60);

/// Judges one page after the other.
pub(crate) struct Judging {
    judge: Judge,
    looks: Looks,
}

// === impl Judging ===

impl Judging {
    pub(crate) fn new(images: Images) -> Self {
        Self { judge: Judge::default(), looks: Looks::new(images) }
    }

    /// Judges a page.
    ///
    /// # Errors
    /// The page is no list, or an object of it ended the judge.
    pub(crate) async fn page(&mut self, page: Page) -> Result<Judged, PageError> {
        let (page, until) = (Arc::new(page), Instant::now() + PAGE_TIME);
        let (first, mut in_hand) = self.round(&page, self.looks.begin(), None).await?;
        let Round { mut judged, mut left, mut wanted, mut of_first } = first;
        while !wanted.is_empty() {
            self.looks.look(&mut in_hand, &wanted, of_first, until).await;
            let round;
            (round, in_hand) = self.round(&page, in_hand, Some(left)).await?;
            judged.units.extend(round.judged.units);
            (left, wanted, of_first) = (round.left, round.wanted, round.of_first);
        }
        Ok(judged)
    }

    /// Forgets texts that nobody holds any more.
    pub(crate) fn sweep(&mut self) {
        self.judge.texts.sweep();
    }

    /// One round, on a thread that may block. A panic there is one of the judge: the page counts as failed.
    async fn round(
        &mut self,
        page: &Arc<Page>,
        in_hand: InHand,
        left: Option<Vec<usize>>,
    ) -> Result<(Round, InHand), PageError> {
        let (page, mut judge) = (Arc::clone(page), std::mem::take(&mut self.judge));
        let work = move || {
            let left = left.map(BTreeSet::from_iter);
            let round = judge.judge(&page, &in_hand, left.as_ref());
            (judge, round, in_hand)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok((judge, round, in_hand)) => {
                self.judge = judge;
                Ok((round?, in_hand))
            }
            Err(panicked) => Err(PageError::Judge(panicked)),
        }
    }
}
