//! A certificate authority of one test run.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Signs server certificates for loopback.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, which clients trust.
    pub pem: String,
}

/// A certificate and its key.
pub struct Leaf {
    /// The certificate.
    pub certificate_pem: String,
    /// The certificate as bytes.
    pub certificate_der: Vec<u8>,
    /// The key, PKCS #8.
    pub key_pem: String,
    /// The key as bytes, PKCS #8.
    pub key_der: Vec<u8>,
}

impl Authority {
    /// A fresh one.
    pub fn mint(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A server certificate for `127.0.0.1`, `localhost` and the API server's own service names.
    pub fn server(&self) -> Leaf {
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        let params = CertificateParams::new(names).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf {
            certificate_pem: certificate.pem(),
            certificate_der: certificate.der().to_vec(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
        }
    }
}
