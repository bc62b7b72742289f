//! Timestamps of RFC 3161.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{DnType, ExtendedKeyUsagePurpose};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use yasna::Tag;
use yasna::models::ObjectIdentifier;

use crate::authority::{Authority, Request};
use crate::key::Kind;
use crate::{Key, Scheme, sha256};

/// A timestamp authority.
pub struct Clock {
    key: Key,
    kind: Kind,
    /// Its certificate.
    pub der: Vec<u8>,
}

const SHA256: [u64; 9] = [2, 16, 840, 1, 101, 3, 4, 2, 1];
const ECDSA_SHA256: [u64; 7] = [1, 2, 840, 10045, 4, 3, 2];
const RSA_SHA256: [u64; 7] = [1, 2, 840, 113_549, 1, 1, 11];
const SIGNED_DATA: [u64; 7] = [1, 2, 840, 113_549, 1, 7, 2];
const CONTENT_TYPE: [u64; 7] = [1, 2, 840, 113_549, 1, 9, 3];
const MESSAGE_DIGEST: [u64; 7] = [1, 2, 840, 113_549, 1, 9, 4];
const TST_INFO: [u64; 9] = [1, 2, 840, 113_549, 1, 9, 16, 1, 4];

// === impl Clock ===

impl Clock {
    /// A clock whose certificate a root issued, with a key of ECDSA over P-256 or of RSA.
    pub fn new(root: &Authority, now: Timestamp, kind: Kind) -> Self {
        let key = Key::new(kind);
        let days = jiff::SignedDuration::from_hours(24 * 300);
        let mut request = Request::new(now - days, now + days);
        request.subject = vec![(DnType::CommonName, "clock".to_owned())];
        request.usages = vec![ExtendedKeyUsagePurpose::TimeStamping];
        let der = root.issue(&request, &key.pair);
        Self { key, kind, der }
    }

    /// A `TimeStampResp` that says that what has this SHA-256 was there at a time.
    pub fn stamp(&self, hash: &[u8; 32], at: Timestamp) -> Vec<u8> {
        let info = info(hash, at);
        let attributes = attributes(&info);
        let signature = self.key.sign(Scheme::Own, &attributes);
        // The same set under the tag [0] instead of SET.
        let mut tagged = attributes;
        tagged[0] = 0xa0;
        let (_, certificate) = X509Certificate::from_der(&self.der).unwrap();
        let issuer = certificate.issuer().as_raw();
        let scheme = if self.kind == Kind::P256 { &ECDSA_SHA256 } else { &RSA_SHA256 };
        yasna::construct_der(|writer| {
            writer.write_sequence(|response| {
                response.next().write_sequence(|status| status.next().write_u8(0));
                response.next().write_sequence(|content| {
                    content.next().write_oid(&oid(&SIGNED_DATA));
                    content.next().write_tagged(Tag::context(0), |writer| {
                        writer.write_sequence(|data| {
                            data.next().write_u8(3);
                            data.next().write_set(|set| algorithm(set.next(), &SHA256));
                            data.next().write_sequence(|content| {
                                content.next().write_oid(&oid(&TST_INFO));
                                content.next().write_tagged(Tag::context(0), |writer| writer.write_bytes(&info));
                            });
                            data.next().write_set(|signers| {
                                signers.next().write_sequence(|signer| {
                                    signer.next().write_u8(1);
                                    signer.next().write_sequence(|id| {
                                        id.next().write_der(issuer);
                                        id.next().write_bigint_bytes(certificate.raw_serial(), true);
                                    });
                                    algorithm(signer.next(), &SHA256);
                                    signer.next().write_der(&tagged);
                                    algorithm(signer.next(), scheme);
                                    signer.next().write_bytes(&signature);
                                });
                            });
                        });
                    });
                });
            });
        })
    }
}

/// The SHA-256 that a `TimeStampReq` is about. A nonce and further wishes are left out of account.
pub(crate) fn requested(request: &[u8]) -> Option<[u8; 32]> {
    let hash = yasna::parse_der(request, |reader| {
        reader.read_sequence(|request| {
            request.next().read_u8()?;
            let hash = request.next().read_sequence(|imprint| {
                imprint.next().read_der()?;
                imprint.next().read_bytes()
            })?;
            while request.read_optional(|wish| wish.read_der())?.is_some() {}
            Ok(hash)
        })
    });
    hash.ok()?.try_into().ok()
}

/// `TSTInfo`: what was there, and when.
fn info(hash: &[u8; 32], at: Timestamp) -> Vec<u8> {
    let time = at.to_zoned(TimeZone::UTC).strftime("%Y%m%d%H%M%SZ").to_string();
    yasna::construct_der(|writer| {
        writer.write_sequence(|info| {
            info.next().write_u8(1);
            info.next().write_oid(&oid(&[1, 2, 3, 4]));
            info.next().write_sequence(|imprint| {
                algorithm(imprint.next(), &SHA256);
                imprint.next().write_bytes(hash);
            });
            info.next().write_u8(1);
            let tag = yasna::tags::TAG_GENERALIZEDTIME;
            info.next().write_tagged_implicit(tag, |writer| writer.write_bytes(time.as_bytes()));
        });
    })
}

/// The signed attributes as a SET, which is what is signed (RFC 5652, 5.4).
fn attributes(info: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_set_of(|set| {
            set.next().write_sequence(|attribute| {
                attribute.next().write_oid(&oid(&CONTENT_TYPE));
                attribute.next().write_set(|values| values.next().write_oid(&oid(&TST_INFO)));
            });
            set.next().write_sequence(|attribute| {
                attribute.next().write_oid(&oid(&MESSAGE_DIGEST));
                attribute.next().write_set(|values| values.next().write_bytes(&sha256(info)));
            });
        });
    })
}

fn algorithm(writer: yasna::DERWriter<'_>, id: &[u64]) {
    writer.write_sequence(|algorithm| algorithm.next().write_oid(&oid(id)));
}

fn oid(components: &[u64]) -> ObjectIdentifier {
    ObjectIdentifier::from_slice(components)
}
