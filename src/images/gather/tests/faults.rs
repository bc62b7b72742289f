//! The table of faults: what registries, networks, signers and clocks do, which of the four answers that is, and what
//! they read whose Pod is refused. Each row goes the whole way: a Pod, a policy, a registry on loopback, a decision.

use std::sync::LazyLock;

use rcgen::{CertificateParams, KeyPair};
use regex::Regex;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use stockade_engine::Engine;
use stockade_mint::sigstore::By;
use stockade_mint::{Evidence as Beside, Forgery, Sigstore};

use super::door::{decided, engine, pod};
use super::*;
use crate::fake::Fault;
use crate::registry::{MAX_MANIFEST_BYTES, MAX_REFERRERS};

mod network;
mod registries;
mod signers;

/// What happens, how, and what comes of it: `verified`, or an answer and the message. In it `HOST` is the registry, `HEX`
/// the image's digest, and `TIME` any time.
type Row = (&'static str, fn(&mut Scene), &'static str);

/// An image with the tag `1` that a key signed, in a registry, and the policy that asks for that.
struct Scene {
    shelf: Shelf,
    key: Key,
    image: Digest,
    /// After `HOST/app`.
    reference: String,
    /// Answers before what is on the shelf.
    first: fn(&Seen) -> Option<Reply>,
    tls: Option<Arc<ServerConfig>>,
    authorities: Value,
    attestations: Option<Value>,
    registry: Value,
}

/// Who signed; it is the same for all rows.
static SIGSTORE: LazyLock<Sigstore> = LazyLock::new(|| Sigstore::new(jiff::Timestamp::now()));

const SIGNER: &str = "release@shop.example";
const ISSUER: &str = "https://issuer.test.local";

impl Scene {
    fn new() -> Self {
        let (shelf, key) = (Shelf::default(), Key::new());
        let image = shelf.image("1", "1000");
        shelf.sign(&key, &image);
        let authorities = json!([{"name": "release", "key": {"data": key.pem()}}]);
        let registry = json!({"plainHTTP": true, "allowPrivateAddresses": true});
        let (first, tls): (fn(&Seen) -> Option<Reply>, _) = (|_| None, None);
        let reference = ":1".to_owned();
        Self { shelf, key, image, reference, first, tls, authorities, attestations: None, registry }
    }

    fn tag(&self, reply: Reply) {
        self.shelf.put("/manifests/1", reply);
    }

    fn referrers(&self, reply: Reply) {
        self.shelf.put(format!("/referrers/{}", self.image), reply);
    }

    fn signature(&self, reply: Reply) {
        self.shelf.put(format!("/manifests/sha256-{}.sig", self.image.hex()), reply);
    }

    /// Somebody whom the instance gives a certificate signed it, with something wrong.
    fn by_a_person(&mut self, who: &str, sigstore: &Sigstore, forgery: Option<Forgery>) {
        let leaf = sigstore.leaf(who, ISSUER, &[], forgery);
        let signature =
            sigstore.simple_signing(By::Leaf(&leaf), self.image.as_str(), Beside { forgery, ..Beside::LOG });
        self.shelf.signed_with(&self.image, signature);
        self.authorities = json!([{"name": "ci", "keyless": {"identities": [{"issuer": ISSUER, "subject": SIGNER}]},
            "trustedRoot": {"data": SIGSTORE.trusted_root()}}]);
    }

    /// TLS with a certificate for a name until a year, which the policy trusts or not.
    fn behind_tls(&mut self, name: &str, until: i32, is_trusted: bool) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
        self.tls = Some(Arc::new(config.unwrap()));
        self.registry["plainHTTP"] = false.into();
        if is_trusted {
            self.registry["caBundle"] = certificate.pem().into();
        }
    }

    /// Starts the registry, and makes all that takes time before anything is asked.
    async fn ready(self) -> Ready {
        let (shelf, first) = (self.shelf.clone(), self.first);
        let answer = move |seen: &Seen| first(seen).unwrap_or_else(|| shelf.answer(seen));
        let registry = FakeRegistry::start_behind(self.tls.clone(), answer).await;
        let mut settings = self.registry;
        settings["host"] = registry.host().into();
        let mut spec = json!({"images": [format!("{}/**", registry.host())], "authorities": self.authorities,
            "registries": [settings]});
        self.attestations.into_iter().for_each(|all| spec["attestations"] = all);
        let pod = pod(&format!("{}/app{}", registry.host(), self.reference));
        Ready { engine: engine(&spec), images: images(), pod, image: self.image, registry }
    }
}

/// A policy, a Pod, and whoever looks at its image.
struct Ready {
    engine: Engine,
    images: Images,
    pod: Value,
    image: Digest,
    registry: FakeRegistry,
}

impl Ready {
    /// What becomes of the Pod.
    async fn told(self) -> String {
        let decision = decided(&self.engine, &self.images, &self.pod, None).await;
        let Some(status) = decision.status else { return "verified".to_owned() };
        let told = status.message.strip_prefix("ImagePolicy 'signed' denied request: ").unwrap();
        let told = told.replace(&self.registry.host(), "HOST").replace(self.image.hex(), "HEX");
        let time = Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+Z").unwrap();
        let answer = decision.findings.iter().find_map(|finding| finding.answer).unwrap_or_default();
        format!("{answer}: {}", time.replace_all(&told, "TIME"))
    }
}

/// How a row ends that was late on a busy machine.
const LATE: [&str; 2] = ["no answer within", "no connection in time"];
/// Tries of a row that was: each may be, but not each time.
const MAX_TRIES: usize = 10;

/// Fails with all rows that are not as they must be.
async fn assert_rows(rows: &[Row]) {
    let mut faults = rows.to_vec();
    for _ in 0..MAX_TRIES {
        let mut all = Vec::new();
        for (_, happens, _) in &faults {
            let mut scene = Scene::new();
            happens(&mut scene);
            all.push(scene.ready().await);
        }
        let told = futures_util::future::join_all(all.into_iter().map(Ready::told)).await;
        let wrong = faults.iter().zip(&told).filter(|((_, _, wanted), told)| told != wanted);
        let shown =
            |((fault, _, wanted), told): &(&Row, &String)| format!("{fault}\n  wanted {wanted}\n  got    {told}");
        let (late, broken): (Vec<_>, Vec<_>) = wrong.partition(|(_, told)| LATE.iter().any(|late| told.contains(late)));
        assert!(broken.is_empty(), "\n{}", broken.iter().map(shown).collect::<Vec<_>>().join("\n"));
        faults = late.into_iter().map(|(row, _)| *row).collect();
    }
    assert!(faults.is_empty(), "late each time: {:?}", faults.iter().map(|(fault, ..)| *fault).collect::<Vec<_>>());
}
