//! A registry on loopback, at the end of a link that takes its time, with images that are signed.
//!
//! It answers from memory over HTTP/1.1 with connections that stay. A connection costs one round trip of the link before
//! its first request is seen, as TCP's handshake does; each answer comes one round trip after its request.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value as Json, json};
use stockade_mint::{Key, Scheme, base64, hex, sha256};

/// cosign's payload, beside which the signature is an annotation.
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What a registry holds: content by path after `/v2/`.
#[derive(Default)]
pub struct Shelf(HashMap<String, Vec<u8>>);

/// A registry that serves until the process ends.
pub struct Registry {
    /// Where.
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

// === impl Shelf ===

impl Shelf {
    /// An image with some layers, under a tag of a repository, and a signature by each of these keys. Each
    /// signature is an artifact that refers to the image.
    pub fn add(&mut self, repository: &str, tag: &str, keys: &[&Key]) {
        let config = self.blob(repository, "application/vnd.oci.image.config.v1+json", format!("{{\"tag\": {tag:?}}}"));
        let layer = |n: usize| {
            let digest = format!("sha256:{}", hex(&sha256(format!("{repository} {tag} {n}").as_bytes())));
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": 1 << 24})
        };
        let layers: Vec<Json> = (0..10).map(layer).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers});
        let image = self.manifest(repository, &manifest);
        self.0.insert(format!("{repository}/manifests/{tag}"), manifest.to_string().into_bytes());
        let all: Vec<Json> = keys.iter().map(|key| self.signature(repository, &image, key)).collect();
        let list = json!({"schemaVersion": 2, "manifests": all}).to_string();
        self.0.insert(format!("{repository}/referrers/{image}"), list.into_bytes());
    }

    fn signature(&mut self, repository: &str, image: &str, key: &Key) -> Json {
        let payload = json!({"critical": {"identity": {"docker-reference": repository},
            "image": {"docker-manifest-digest": image}, "type": "cosign container image signature"}, "optional": null});
        let payload = payload.to_string();
        let signature = base64(&key.sign(Scheme::Own, payload.as_bytes()));
        let mut layer = self.blob(repository, SIMPLE_SIGNING, payload);
        layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
        let config = self.blob(repository, "application/vnd.oci.empty.v1+json", "{}".to_owned());
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        let digest = self.manifest(repository, &manifest);
        json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": manifest.to_string().len()})
    }

    fn manifest(&mut self, repository: &str, manifest: &Json) -> String {
        let content = manifest.to_string().into_bytes();
        let digest = format!("sha256:{}", hex(&sha256(&content)));
        self.0.insert(format!("{repository}/manifests/{digest}"), content);
        digest
    }

    fn blob(&mut self, repository: &str, media_type: &str, content: String) -> Json {
        let digest = format!("sha256:{}", hex(&sha256(content.as_bytes())));
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": content.len()});
        self.0.insert(format!("{repository}/blobs/{digest}"), content.into_bytes());
        descriptor
    }
}

// === impl Registry ===

impl Registry {
    /// Serves what is on a shelf over a link with this round trip.
    ///
    /// # Errors
    /// Loopback has no port left.
    pub fn start(shelf: Shelf, round_trip: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (shelf, asked) = (Arc::new(shelf.0), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (shelf, count) = (Arc::clone(&shelf), Arc::clone(&count));
                // Ends with the client.
                thread::spawn(move || serve(connection, &shelf, &count, round_trip));
            }
        });
        Ok(Self { address, asked })
    }

    /// Requests so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn serve(
    connection: TcpStream,
    shelf: &HashMap<String, Vec<u8>>,
    count: &AtomicUsize,
    round_trip: Duration,
) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut requests = BufReader::new(connection.try_clone()?);
    let mut answers = connection;
    thread::sleep(round_trip);
    loop {
        let mut first = String::new();
        if requests.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        while requests.read_line(&mut header)? > 2 {
            header.clear();
        }
        count.fetch_add(1, Ordering::Relaxed);
        thread::sleep(round_trip);
        let path = first.split(' ').nth(1).and_then(|target| target.strip_prefix("/v2/")).unwrap_or_default();
        let (status, body) = match shelf.get(path) {
            Some(body) => (200, body.as_slice()),
            None => (404, &b""[..]),
        };
        let mut answer = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
        if !first.starts_with("HEAD ") {
            answer.extend_from_slice(body);
        }
        answers.write_all(&answer)?;
    }
}
