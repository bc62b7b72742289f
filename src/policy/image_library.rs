//! The library `images` of an AdmissionPolicy: its declarations, in one table. The engine answers them through
//! [`stockade_cel::functions::Host`], by the names here.
//!
//! | call | answer |
//! |---|---|
//! | `images.of(object)` | [`IMAGE`]s that a Pod, or the Pods that an object makes, would run or mount |
//! | `images.added(object, oldObject)` | those of them that the old object does not have in the same place; all when it is null |
//! | `images.get(reference)` | the [`IMAGE`] of a reference, as a Pod has it |
//! | `image.reference()`, `.registry()`, `.repository()`, `.tag()` | the reference in full form and its parts; `''` for no tag |
//! | `image.container()` | the container, or the volume, that names it; null for one of `images.get` |
//! | `image.fieldPath()` | where: `spec.containers[0].image`; `''` for one of `images.get` |
//! | `image.digest()` | `sha256:…`, what the reference means now |
//! | `image.config()` | [`CONFIG`], the same on all its platforms, else an error |
//! | `image.platforms()` | [`PLATFORM`]s with a configuration each |
//! | `image.signedBy(authority)` | whether an authority of `spec.authorities` has signed |
//! | `image.signers(authority)` | its [`SIGNER`]s; none when it has not signed |
//! | `image.signatureStatus(authority)` | `verified`, `not_signed`, `invalid`; or why it is not known: `unavailable`, `unfinished`, `unauthorized` |
//! | `image.attestations(name)` | [`ATTESTATION`]s of an entry of `spec.attestations`; none when there are none |
//! | `image.attestationStatus(name)` | as `signatureStatus` |
//!
//! What could not be found out now is an error under failurePolicy that says why, never "none"; only a status tells it as
//! a value. What is forged or broken counts as not signed, also under `failurePolicy: Ignore`. Under that, whoever makes a
//! Pod can bring an error about, as by its pull secrets: who wants to let pass an outage and no more compares a status.
//!
//! References and their parts, containers and paths cost nothing; all else is looked up in a registry, once for all that
//! the policy asks of an image, so that all of it is about one digest.

use stockade_cel::functions::{Call, CostFn, Function, Overload, constant_cost};
use stockade_cel::{Type, Value};

/// What its functions begin with.
pub const LIBRARY: &str = "images";
/// Type name of an image.
pub const IMAGE: &str = "images.Image";
/// Type name of what is the same on all platforms of an image: `user`, `labels`, `entrypoint`, `cmd`.
pub const CONFIG: &str = "images.Config";
/// Type name of a platform: `os`, `architecture`, `variant`, `created`, `config`.
pub const PLATFORM: &str = "images.Platform";
/// Type name of who signed: `format`, `issuer`, `subject`, `claims`, `key`, and `time` where it is known.
pub const SIGNER: &str = "images.Signer";
/// Type name of a signed statement: `predicateType`, `predicate`, `statement`, `signer`.
pub const ATTESTATION: &str = "images.Attestation";

/// Images of an object.
pub const OF: &str = "images.of";
/// Images that a request brings in.
pub const ADDED: &str = "images.added";
/// The image of a reference.
pub const GET: &str = "images.get";
/// Member of [`IMAGE`].
pub const REFERENCE: &str = "reference";
/// Member of [`IMAGE`].
pub const REGISTRY: &str = "registry";
/// Member of [`IMAGE`].
pub const REPOSITORY: &str = "repository";
/// Member of [`IMAGE`].
pub const TAG: &str = "tag";
/// Member of [`IMAGE`].
pub const CONTAINER: &str = "container";
/// Member of [`IMAGE`].
pub const FIELD_PATH: &str = "fieldPath";
/// Member of [`IMAGE`].
pub const DIGEST: &str = "digest";
/// Member of [`IMAGE`].
pub const CONFIG_OF: &str = "config";
/// Member of [`IMAGE`].
pub const PLATFORMS: &str = "platforms";
/// Member of [`IMAGE`].
pub const SIGNED_BY: &str = "signedBy";
/// Member of [`IMAGE`].
pub const SIGNERS: &str = "signers";
/// Member of [`IMAGE`].
pub const SIGNATURE_STATUS: &str = "signatureStatus";
/// Member of [`IMAGE`].
pub const ATTESTATIONS: &str = "attestations";
/// Member of [`IMAGE`].
pub const ATTESTATION_STATUS: &str = "attestationStatus";

/// Members that name an authority.
pub const BY_AUTHORITY: [&str; 3] = [SIGNED_BY, SIGNERS, SIGNATURE_STATUS];
/// Members that name an attestation.
pub const BY_ATTESTATION: [&str; 2] = [ATTESTATIONS, ATTESTATION_STATUS];
/// Members that need platforms and configurations.
pub const OF_DETAILS: [&str; 2] = [CONFIG_OF, PLATFORMS];

/// Cost of a look at what is known of an image: about that of ten field selections.
const LOOKUP_COST: u64 = 10;

/// All functions of the library, for [`stockade_cel::Env::functions`].
pub fn image_functions() -> Vec<Function> {
    use Type::{Bool, Dyn, String};
    let list = |name| Type::list(Type::structure(name));
    let images = || Type::list(image());
    let mut functions = vec![
        host(OF, Overload::global("images_of", vec![Dyn], images()), lookup_cost),
        host(ADDED, Overload::global("images_added", vec![Dyn, Dyn], images()), lookup_cost),
        host(GET, Overload::global("images_get", vec![String], image()), lookup_cost),
    ];
    for (name, id) in [
        (REFERENCE, "image_reference"),
        (REGISTRY, "image_registry"),
        (REPOSITORY, "image_repository"),
        (TAG, "image_tag"),
        (FIELD_PATH, "image_field_path"),
    ] {
        functions.push(host(name, Overload::member(id, vec![image()], String), constant_cost));
    }
    functions.push(host(CONTAINER, Overload::member("image_container", vec![image()], Dyn), constant_cost));
    for (name, id, parameters, result) in [
        (DIGEST, "image_digest", vec![], String),
        (CONFIG_OF, "image_config", vec![], Type::structure(CONFIG)),
        (PLATFORMS, "image_platforms", vec![], list(PLATFORM)),
        (SIGNED_BY, "image_signed_by", vec![String], Bool),
        (SIGNERS, "image_signers", vec![String], list(SIGNER)),
        (SIGNATURE_STATUS, "image_signature_status", vec![String], String),
        (ATTESTATIONS, "image_attestations", vec![String], list(ATTESTATION)),
        (ATTESTATION_STATUS, "image_attestation_status", vec![String], String),
    ] {
        let parameters = [vec![image()], parameters].concat();
        functions.push(host(name, Overload::member(id, parameters, result), lookup_cost));
    }
    functions
}

fn image() -> Type {
    Type::opaque(IMAGE)
}

fn host(name: &'static str, overload: Overload, cost: CostFn) -> Function {
    Function { name, overloads: vec![overload], call: Call::Host, cost }
}

/// A fixed part, and one for each item of the answer.
fn lookup_cost(_: &str, _: &[Value<'_>], result: &Value<'_>) -> u64 {
    LOOKUP_COST + result.as_list().map_or(0, |list| list.len() as u64)
}
