//! What one namespace does is no other one's trouble.

use super::*;
use crate::gather::{Inner, MAX_TASKS_OF_ONE, SMALL_MANIFEST_BYTES};
use crate::shares::{Places, Shares};

/// A signed image, and a registry that has it.
async fn signed_image() -> (FakeRegistry, Arc<Authority>) {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    shelf.sign(&key, &image);
    (shelf.registry().await, key.authority())
}

#[tokio::test]
async fn a_namespace_with_all_the_looks_that_it_may_have_leaves_those_of_others_alone() {
    let (registry, authority) = signed_image().await;
    let (images, mine) = (images(), wanted(&registry, ":1", &[&authority]));
    let namespace = &mine.credentials.namespace;
    let held: Vec<Places> = std::iter::from_fn(|| images.0.tasks.try_take(namespace)).collect();
    assert_eq!(held.len(), MAX_TASKS_OF_ONE);
    let others = Wanted { credentials: in_namespace("other"), ..mine.clone() };
    let shed = "unfinished: too many images are looked at right now; try again";
    assert_eq!(signed(&*gathered(&images, &mine).await), shed);
    assert_eq!(signed(&*gathered(&images, &others).await), "verified");
}

/// They share the look at one image, and not what one of them has no room for.
#[tokio::test]
async fn a_namespace_without_room_or_turn_to_verify_holds_up_nobody_who_wants_the_same_image() {
    let both: [fn(&Inner) -> &Shares; 2] = [|inner| &inner.in_hand, |inner| &inner.verifying];
    for shares in both {
        let (registry, authority) = signed_image().await;
        let (images, mine) = (images(), wanted(&registry, ":1", &[&authority]));
        let _held = shares(&images.0).take(&mine.credentials.namespace, usize::MAX).await;
        let others = Wanted { credentials: in_namespace("other"), ..mine.clone() };
        let both = futures_util::future::join(gathered(&images, &mine), gathered(&images, &others)).await;
        let no_room = "unfinished: too many signatures are verified for this namespace right now; try again";
        assert_eq!((signed(&both.0).as_str(), signed(&both.1).as_str()), (no_room, "verified"));
    }
}

/// Reading some megabytes of JSON takes a while, which must not be that of others' requests.
#[tokio::test]
async fn a_large_manifest_is_read_in_the_turn_of_its_namespace() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let config = shelf.blob("{}");
    let long = "x".repeat(SMALL_MANIFEST_BYTES);
    let image = shelf.manifest("1", &json!({"config": config, "layers": [], "annotations": {"long": long}}));
    shelf.sign(&key, &image);
    let registry = shelf.registry().await;
    let (images, mine) = (images(), wanted(&registry, ":1", &[&key.authority()]));
    let _held = images.0.verifying.take(&mine.credentials.namespace, usize::MAX).await;
    let words = signed(&*gathered(&images, &mine).await);
    let crowded = "too many registries are asked for this namespace right now; try again";
    assert!(words.starts_with("unfinished: ") && words.ends_with(crowded), "{words}");
    let others = Wanted { credentials: in_namespace("other"), ..mine };
    assert_eq!(signed(&*gathered(&images, &others).await), "verified");
}
