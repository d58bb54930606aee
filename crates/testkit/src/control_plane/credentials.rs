//! Throw-away keys and certificates: a certificate authority for each control plane, so that a client of one can never
//! take another for its own, whatever ports they get.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::ControlPlaneError;
use super::folder::Folder;

/// The user that may do everything.
pub(crate) const ADMIN: &str = "admin";

/// The files that the servers read and what clients need to know.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// Certificate of the authority, PEM.
    pub(crate) ca_file: PathBuf,
    /// The same, PEM text.
    pub(crate) ca_pem: String,
    /// The same, DER.
    pub(crate) ca_der: Vec<u8>,
    /// Certificate for loopback, for both servers and for the API server as client of etcd.
    pub(crate) cert_file: PathBuf,
    /// Its private key.
    pub(crate) key_file: PathBuf,
    /// Private key that signs `ServiceAccount` tokens: RSA, as almost every real cluster has it.
    pub(crate) service_account_key_file: PathBuf,
    /// Static bearer tokens of the API server (CSV: token, user, uid, groups).
    pub(crate) token_file: PathBuf,
    /// The bearer token of [`ADMIN`].
    pub(crate) admin_token: String,
}

impl Credentials {
    /// Makes everything afresh in `folder`.
    pub(crate) fn make(folder: &Folder) -> Result<Self, ControlPlaneError> {
        let authority_key = KeyPair::generate()?;
        let authority_params = authority();
        let authority_cert = authority_params.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority_params, authority_key);
        let key = KeyPair::generate()?;
        let cert = loopback()?.signed_by(&key, &issuer)?;
        let service_account_key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        // Unguessable: a digest of a private key that is used for nothing else.
        let admin_token = hex::encode(Sha256::digest(KeyPair::generate()?.serialized_der()));

        let write = |name: &str, content: &str| {
            let path = folder.file(name);
            write_secret(&path, content)?;
            Ok::<_, ControlPlaneError>(path)
        };
        Ok(Self {
            ca_file: write("ca.crt", &authority_cert.pem())?,
            ca_pem: authority_cert.pem(),
            ca_der: authority_cert.der().to_vec(),
            cert_file: write("server.crt", &cert.pem())?,
            key_file: write("server.key", &key.serialize_pem())?,
            service_account_key_file: write("service-account.key", &service_account_key.serialize_pem())?,
            token_file: write("tokens.csv", &format!("{admin_token},{ADMIN},{ADMIN},system:masters\n"))?,
            admin_token,
        })
    }

    /// A kubeconfig for `user` with this bearer token. JSON, which every reader of YAML reads.
    pub(crate) fn kubeconfig(&self, server: &str, user: &str, token: &str) -> String {
        let name = "okta-user-sync";
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": name,
                "cluster": { "server": server, "certificate-authority-data": BASE64.encode(&self.ca_pem) },
            }],
            "users": [{ "name": user, "user": { "token": token } }],
            "contexts": [{ "name": name, "context": { "cluster": name, "user": user, "namespace": "default" } }],
            "current-context": name,
        });
        format!("{config:#}\n")
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_secret(path: &Path, content: &str) -> Result<(), ControlPlaneError> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .map_err(ControlPlaneError::system(format!("writing {}", path.display())))
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "okta-user-sync local control plane");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn loopback() -> Result<CertificateParams, rcgen::Error> {
    let names = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let mut params = CertificateParams::new(names.map(str::to_owned))?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
