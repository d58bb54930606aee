//! The cluster's certificate authorities. Teleport has one for hosts (servers, and whoever holds a system role) and one for users; clients trust the
//! first, servers trust both.

use jiff::{SignedDuration, Timestamp};
use sha2::Digest as _;

use crate::{
    TeleportSimError, der,
    key::{Key, KeyKind, pem},
    ssh,
};

/// What a certificate shall say of whom it is for.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) common_name: String,
    /// Teleport writes roles as organisations.
    pub(crate) organizations: Vec<String>,
    /// Teleport's own attribute 1.3.9999.1.7.
    pub(crate) cluster: Option<String>,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Authority,
    Client,
    /// Server and client, as hosts are both.
    Host,
}

/// A certificate authority.
#[derive(Debug)]
pub(crate) struct Authority {
    key: Key,
    subject: Subject,
    certificate: Vec<u8>,
}

/// What to certify.
pub(crate) struct Certified<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) purpose: Purpose,
    pub(crate) dns_names: &'a [String],
    pub(crate) addresses: &'a [std::net::IpAddr],
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

const COMMON_NAME: [u32; 4] = [2, 5, 4, 3];
const ORGANIZATION: [u32; 4] = [2, 5, 4, 10];
const TELEPORT_CLUSTER: [u32; 5] = [1, 3, 9999, 1, 7];

impl Authority {
    /// A new authority of `cluster`, valid for ten years.
    pub(crate) fn new(cluster: &str, kind: KeyKind, now: Timestamp) -> Result<Self, TeleportSimError> {
        let key = Key::generate(kind)?;
        let subject =
            Subject { common_name: cluster.to_owned(), organizations: vec![cluster.to_owned()], cluster: None };
        let certified = Certified {
            subject: &subject,
            purpose: Purpose::Authority,
            dns_names: &[],
            addresses: &[],
            not_before: before(now),
            not_after: now + SignedDuration::from_hours(24 * 3650),
        };
        let certificate = certificate(&certified, &key.public_der(), &subject, &key)?;
        Ok(Self { key, subject, certificate })
    }

    /// Certifies the public key `spki`. DER.
    pub(crate) fn certify(&self, certified: &Certified<'_>, spki: &[u8]) -> Result<Vec<u8>, TeleportSimError> {
        certificate(certified, spki, &self.subject, &self.key)
    }

    /// This authority's own certificate, DER.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// This authority's own certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// Identifies certificates of this authority: the authority key identifier that they carry.
    pub(crate) fn key_id(&self) -> Vec<u8> {
        key_id(&self.key.public_der())
    }

    /// Teleport's CA pin: the SHA-256 of the public key.
    pub(crate) fn pin(&self) -> String {
        format!("sha256:{}", hex::encode(sha2::Sha256::digest(self.key.public_der())))
    }

    /// The key that signs SSH certificates. Teleport has another for SSH; here it is the same.
    pub(crate) fn ssh_key(&self) -> &Key {
        &self.key
    }

    /// The line of a `known_hosts` file that trusts hosts of `cluster`.
    pub(crate) fn known_hosts_line(&self, cluster: &str) -> Result<String, TeleportSimError> {
        Ok(format!("@cert-authority {cluster},*.{cluster} {}", ssh::public_line(&self.key.public_der())?))
    }
}

/// A little before `now`, so that clocks may differ.
pub(crate) fn before(now: Timestamp) -> Timestamp {
    now - SignedDuration::from_mins(1)
}

fn key_id(spki: &[u8]) -> Vec<u8> {
    sha2::Sha256::digest(spki)[..20].to_vec()
}

/// An X.509 v3 certificate (RFC 5280), DER.
fn certificate(
    certified: &Certified<'_>,
    spki: &[u8],
    issuer: &Subject,
    signer: &Key,
) -> Result<Vec<u8>, TeleportSimError> {
    let body = der::sequence(&[
        der::context(0, &der::integer(&[2])),
        der::integer(&uuid::Uuid::new_v4().into_bytes()),
        signer.signature_algorithm(),
        name(issuer),
        der::sequence(&[der::time(certified.not_before), der::time(certified.not_after)]),
        name(certified.subject),
        spki.to_vec(),
        der::context(3, &der::sequence(&extensions(certified, spki, &signer.public_der()))),
    ]);
    let signature = signer.sign(&body)?;
    Ok(der::sequence(&[body, signer.signature_algorithm(), der::bit_string(&signature)]))
}

fn name(subject: &Subject) -> Vec<u8> {
    let attribute = |oid: &[u32], value: &str| der::set(&[der::sequence(&[der::oid(oid), der::utf8(value)])]);
    let mut attributes: Vec<Vec<u8>> =
        subject.organizations.iter().map(|value| attribute(&ORGANIZATION, value)).collect();
    attributes.push(attribute(&COMMON_NAME, &subject.common_name));
    attributes.extend(subject.cluster.iter().map(|value| attribute(&TELEPORT_CLUSTER, value)));
    der::sequence(&attributes)
}

fn extensions(certified: &Certified<'_>, spki: &[u8], signer: &[u8]) -> Vec<Vec<u8>> {
    const KEY_USAGE: [u32; 4] = [2, 5, 29, 15];
    const EXTENDED_KEY_USAGE: [u32; 4] = [2, 5, 29, 37];
    const BASIC_CONSTRAINTS: [u32; 4] = [2, 5, 29, 19];
    const SUBJECT_KEY_ID: [u32; 4] = [2, 5, 29, 14];
    const AUTHORITY_KEY_ID: [u32; 4] = [2, 5, 29, 35];
    const ALTERNATIVE_NAMES: [u32; 4] = [2, 5, 29, 17];
    const SERVER_AUTH: [u32; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 1];
    const CLIENT_AUTH: [u32; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 2];

    let critical =
        |oid: &[u32], value: &[u8]| der::sequence(&[der::oid(oid), der::boolean(true), der::octet_string(value)]);
    let plain = |oid: &[u32], value: &[u8]| der::sequence(&[der::oid(oid), der::octet_string(value)]);
    let usages = |oids: &[&[u32]]| der::sequence(&oids.iter().map(|oid| der::oid(oid)).collect::<Vec<_>>());

    let mut extensions = vec![
        plain(&SUBJECT_KEY_ID, &der::octet_string(&key_id(spki))),
        plain(&AUTHORITY_KEY_ID, &der::sequence(&[der::tagged(0x80, &key_id(signer))])),
    ];
    match certified.purpose {
        Purpose::Authority => {
            // keyCertSign and cRLSign
            extensions.push(critical(&KEY_USAGE, &[0x03, 0x02, 0x01, 0x06]));
            extensions.push(critical(&BASIC_CONSTRAINTS, &der::sequence(&[der::boolean(true)])));
        }
        Purpose::Client | Purpose::Host => {
            // digitalSignature and keyEncipherment
            extensions.push(critical(&KEY_USAGE, &[0x03, 0x02, 0x05, 0xa0]));
            let oids: &[&[u32]] =
                if certified.purpose == Purpose::Host { &[&SERVER_AUTH, &CLIENT_AUTH] } else { &[&CLIENT_AUTH] };
            extensions.push(plain(&EXTENDED_KEY_USAGE, &usages(oids)));
        }
    }
    let names = certified.dns_names.iter().map(|name| der::tagged(0x82, name.as_bytes()));
    let addresses = certified.addresses.iter().map(|address| match address {
        std::net::IpAddr::V4(address) => der::tagged(0x87, &address.octets()),
        std::net::IpAddr::V6(address) => der::tagged(0x87, &address.octets()),
    });
    let names: Vec<Vec<u8>> = names.chain(addresses).collect();
    if !names.is_empty() {
        extensions.push(plain(&ALTERNATIVE_NAMES, &der::sequence(&names)));
    }
    extensions
}
