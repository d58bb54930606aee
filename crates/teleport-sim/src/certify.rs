//! `GenerateUserCerts`: how a bot gets certificates for the roles that it may impersonate (reference §8.3, §16 E, §17).

use bytes::Bytes;
use jiff::SignedDuration;
use teleport_proto::auth;
use tonic::Code;

use crate::{
    Refusal,
    authority::before,
    caller::Caller,
    clock::from_wire,
    cluster::Cluster,
    identity::{Holder, Wanted},
    key::pem,
    preset::allowed,
    shared::Shared,
    ssh,
};

/// Longest life of a certificate.
const LONGEST: SignedDuration = SignedDuration::from_hours(30);

/// Issues certificates to a caller for itself, or for roles that it may impersonate. The answer carries the user CA only.
pub(crate) fn user_certs(
    shared: &Shared,
    caller: &Caller,
    asked: &auth::UserCertsRequest,
) -> Result<auth::Certs, Refusal> {
    let Caller::User { name, roles } = caller else { return Err(Refusal::access_denied("access denied")) };
    let mut cluster = shared.cluster();
    let now = cluster.now();
    if asked.username != *name {
        return Err(Refusal::access_denied(format!(
            "user {name:?} has requested to generate certs for {:?}.",
            asked.username
        )));
    }
    let expires = from_wire(asked.expires.as_ref()).filter(|expires| *expires > now);
    let expires = expires
        .ok_or_else(|| Refusal::access_denied("access denied: client credentials have expired, please relogin."))?;
    let holder = Holder::User { name: name.clone(), roles: impersonated(&cluster, roles, asked)? };
    let longest = longest_session(&cluster, &holder).unwrap_or(LONGEST).min(LONGEST);
    let wanted = Wanted { holder: &holder, not_before: before(now), not_after: expires.min(now + longest) };
    let keys = requested_keys(&cluster, asked)?;
    if let Holder::User { name, roles } = &holder {
        cluster.certificates.add(name, roles.clone(), now, wanted.not_after);
    }
    drop(cluster);
    certs(shared, &wanted, &keys)
}

/// The shortest of the longest sessions of a holder's roles.
fn longest_session(cluster: &Cluster, holder: &Holder) -> Option<SignedDuration> {
    let Holder::User { roles, .. } = holder else { return None };
    let options = roles.iter().filter_map(|role| cluster.roles.get(role)?.spec.as_ref()?.options.as_ref());
    options.map(|options| options.max_session_ttl).filter(|ttl| *ttl > 0).min().map(SignedDuration::from_nanos)
}

/// The public keys that a request shows, as `SubjectPublicKeyInfo`.
pub(crate) struct Keys {
    pub(crate) ssh: Option<Vec<u8>>,
    pub(crate) tls: Option<Vec<u8>>,
}

/// Certificates for whoever joins: with the CA of users and that of hosts, in this order.
pub(crate) fn joined(shared: &Shared, wanted: &Wanted<'_>, keys: &Keys) -> Result<auth::Certs, Refusal> {
    let mut certs = certs(shared, wanted, keys)?;
    certs.tls_ca_certs.push(shared.pki().hosts.pem().into_bytes().into());
    Ok(certs)
}

/// Certificates for public keys, with the CA of users alone.
fn certs(shared: &Shared, wanted: &Wanted<'_>, keys: &Keys) -> Result<auth::Certs, Refusal> {
    let failed = |error: crate::TeleportSimError| Refusal::new(Code::Internal, error.to_string());
    let ssh = keys.ssh.as_deref().map(|key| shared.pki().ssh(wanted, key)).transpose().map_err(failed)?;
    let tls = keys.tls.as_deref().map(|key| shared.pki().tls(wanted, key)).transpose().map_err(failed)?;
    Ok(auth::Certs {
        ssh: ssh.unwrap_or_default().into_bytes().into(),
        tls: tls.map(|der| Bytes::from(pem("CERTIFICATE", &der))).unwrap_or_default(),
        tls_ca_certs: vec![shared.pki().users.pem().into_bytes().into()],
        ssh_ca_certs: vec![
            ssh::public_line(&shared.pki().users.ssh_key().public_der()).map_err(failed)?.into_bytes().into(),
        ],
    })
}

fn impersonated(cluster: &Cluster, held: &[String], asked: &auth::UserCertsRequest) -> Result<Vec<String>, Refusal> {
    if asked.role_requests.is_empty() {
        return if asked.use_role_requests {
            Err(Refusal::bad_parameter("at least one role request is required"))
        } else {
            Ok(held.to_vec())
        };
    }
    for wanted in &asked.role_requests {
        if !cluster.roles.contains_key(wanted) {
            return Err(Refusal::not_found(format!("role {wanted} is not found")));
        }
        let may = held.iter().filter_map(|role| allowed(cluster.roles.get(role)?).impersonate);
        if !may.flat_map(|impersonate| impersonate.roles).any(|role| role == *wanted || role == "*") {
            return Err(Refusal::access_denied(format!(
                "user has requested role impersonation of {wanted:?}, which is not allowed"
            )));
        }
    }
    Ok(asked.role_requests.clone())
}

fn requested_keys(cluster: &Cluster, asked: &auth::UserCertsRequest) -> Result<Keys, Refusal> {
    let split = !asked.ssh_public_key.is_empty() || !asked.tls_public_key.is_empty();
    if !cluster.version.splits_keys() || !split {
        let key = from_authorized_key(&asked.public_key)?;
        return Ok(Keys { ssh: Some(key.clone()), tls: Some(key) });
    }
    if !asked.public_key.is_empty() {
        return Err(Refusal::bad_parameter("public_key and ssh_public_key or tls_public_key must not be set together"));
    }
    let ssh = (!asked.ssh_public_key.is_empty()).then(|| from_authorized_key(&asked.ssh_public_key)).transpose()?;
    let tls = (!asked.tls_public_key.is_empty()).then(|| from_pem(&asked.tls_public_key)).transpose()?;
    Ok(Keys { ssh, tls })
}

/// A public key of `authorized_keys` form, as `SubjectPublicKeyInfo`.
pub(crate) fn from_authorized_key(line: &[u8]) -> Result<Vec<u8>, Refusal> {
    let text = std::str::from_utf8(line).unwrap_or_default();
    ssh::wire_of(text).and_then(|wire| ssh::to_spki(&wire)).ok_or_else(|| Refusal::bad_parameter("ssh: no key found"))
}

/// A public key of PEM form, as `SubjectPublicKeyInfo`.
pub(crate) fn from_pem(text: &[u8]) -> Result<Vec<u8>, Refusal> {
    use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};

    let key = SubjectPublicKeyInfoDer::from_pem_slice(text);
    key.map(|key| key.to_vec()).map_err(|_| Refusal::bad_parameter("failed to decode public key PEM block"))
}
