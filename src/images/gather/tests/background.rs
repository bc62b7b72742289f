//! Work that no request waits for.

use futures_util::FutureExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::InHand;
use crate::gather::MAX_BACKGROUND;

#[tokio::test]
async fn what_is_in_hand_holds_though_it_is_forgotten() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "1000");
    shelf.sign(&key, &image);
    let registry = shelf.registry().await;
    let (images, wanted) = (images(), wanted(&registry, ":1", &[&key.authority()]));
    let mut in_hand = InHand::new(images.clone());
    assert!(in_hand.evidence(&wanted).is_none());
    let place = images.background_place(&wanted).await.unwrap();
    let found = images.look_in_background(place, wanted.clone(), Duration::from_secs(20)).await;
    assert!(in_hand.take(&wanted, found));
    pass(Duration::from_secs(120)).await;
    assert!(images.evidence(&wanted).is_none());
    assert_eq!(signed(&in_hand.evidence(&wanted).unwrap()), "verified");
    assert!(!in_hand.take_told_unavailable());
}

#[tokio::test]
async fn looks_in_the_background_that_hang_take_no_place_from_requests() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "1000");
    shelf.sign(&key, &image);
    let registry = shelf.registry().await;
    let (images, wanted) = (images(), wanted(&registry, ":1", &[&key.authority()]));
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = silent.local_addr().unwrap().to_string();
    let hanging = |n: usize| {
        let settings = RegistrySettings { host: host.as_str().into(), ..registry.settings() };
        let reference = ImageReference::parse(&format!("{host}/app:{n}")).unwrap();
        let credentials = in_namespace(&format!("team-{n}"));
        Wanted { reference, registry: Some(Arc::new(settings)), credentials, ..wanted.clone() }
    };
    let looks: Vec<_> = (0..2 * MAX_BACKGROUND)
        .map(|n| {
            let (images, wanted) = (images.clone(), hanging(n));
            tokio::spawn(async move {
                let place = images.background_place(&wanted).await.unwrap();
                images.look_in_background(place, wanted, Duration::from_secs(20)).await
            })
        })
        .collect();
    let mut asked = Vec::new();
    while asked.len() < MAX_BACKGROUND {
        asked.push(silent.accept().await.unwrap());
    }
    assert!(images.background_place(&hanging(100)).now_or_never().is_none());
    let found = gathered(&images, &wanted).await;
    assert_eq!(signed(&found), "verified");
    assert!(looks.iter().all(|look| !look.is_finished()));
    looks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn an_object_is_judged_until_nothing_more_is_wanted_and_what_hangs_is_unavailable() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "1000");
    shelf.sign(&key, &image);
    let registry = shelf.registry().await;
    let (images, tag) = (images(), wanted(&registry, ":1", &[&key.authority()]));
    let digest = wanted(&registry, &format!("@{image}"), &[&key.authority()]);
    let mut rounds = 0;
    let judge = |in_hand: &InHand| {
        rounds += 1;
        let told: Vec<_> = [&tag, &digest].into_iter().map_while(|w| in_hand.evidence(w)).collect();
        let next = [&tag, &digest].get(told.len()).map(|next| Wanted::clone(next));
        (told.iter().map(|e| signed(e)).collect::<Vec<_>>(), next.into_iter().collect())
    };
    let (told, in_hand) = InHand::settled(&images, Duration::from_secs(20), judge).await;
    assert_eq!((told, rounds, in_hand.into_found().len()), (vec!["verified".to_owned(); 2], 3, 2));

    // One who wants more each time is told that it is too much.
    let mut number = 10;
    let judge = |in_hand: &InHand| {
        number += 1;
        let next = wanted(&registry, &format!(":{number}"), &[&key.authority()]);
        let told = in_hand.evidence(&next).map(|e| signed(&e));
        let more = if told.is_none() { vec![next] } else { Vec::new() };
        (told, more)
    };
    let (told, _) = InHand::settled(&images, Duration::from_secs(20), judge).await;
    assert!(told.unwrap().starts_with("unfinished: it was wanted again and again"));
}
