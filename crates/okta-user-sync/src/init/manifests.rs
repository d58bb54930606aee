//! The manifests that the answers come to: one file for Git, and one with the Secrets, which is not.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::exit::Stop;
use crate::private_file;

/// Everything that was answered.
pub struct Answers {
    /// Name of the resource.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Enforce or Preview.
    pub mode: &'static str,
    /// The organisation.
    pub org_url: String,
    /// The API Services app.
    pub client_id: String,
    /// Its private key, PEM or JWK; `None`: the operator makes one.
    pub key: Option<String>,
    /// The SAML app.
    pub app_id: String,
    /// The cluster.
    pub address: String,
    /// The SAML connector.
    pub connector: String,
    /// The identity file.
    pub identity: String,
    /// Roles for everybody.
    pub roles: Vec<String>,
}

impl Answers {
    /// The namespace and the resource: what goes into Git.
    pub fn public(&self) -> String {
        let Self { name, namespace, mode, .. } = self;
        let (org_url, client_id, app_id) = (quoted(&self.org_url), quoted(&self.client_id), quoted(&self.app_id));
        let (address, connector) = (quoted(&self.address), quoted(&self.connector));
        let key = if self.key.is_some() {
            format!("privateKeySecretRef:\n      name: {name}-okta-key\n      key: private.pem")
        } else {
            "# The operator makes a key pair, and shows the public half in status.publicKey.".to_owned()
        };
        let roles = self.roles.iter().map(|role| quoted(role)).collect::<Vec<_>>().join(", ");
        format!(
            "\
apiVersion: v1
kind: Namespace
metadata:
  name: {namespace}
---
# The people of one Okta app as users of one Teleport cluster. `kubectl explain ous.spec` tells every field.
apiVersion: usersync.dev/v1alpha1
kind: OktaUserSync
metadata:
  name: {name}
  namespace: {namespace}
spec:
  # Enforce applies each plan; Preview only reports it.
  mode: {mode}
  interval: 10m
  okta:
    orgURL: {org_url}
    clientID: {client_id}
    {key}
  scope:
    # The SAML app through which these people log in to Teleport.
    appID: {app_id}
    # User names that are never touched in any way, such as break-glass accounts.
    exclude: []
  teleport:
    address: {address}
    connector: {connector}
    identitySecretRef:
      name: {name}-teleport-identity
      key: identity
  users:
    # The operator must be allowed to give these (--allowed-role).
    roles: [{roles}]
"
        )
    }

    /// The Secrets: what does not go into Git.
    pub fn secret(&self) -> String {
        let Self { name, namespace, .. } = self;
        let mut text = String::from("# Private: apply it, or hand it to your Secret store; do not commit it.\n");
        let okta = self.key.as_ref().map(|key| ("okta-key", "private.pem", key));
        for (secret, key, content) in okta.into_iter().chain([("teleport-identity", "identity", &self.identity)]) {
            let body = content.trim_end().replace('\n', "\n    ");
            let _ = write!(
                text,
                "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}-{secret}\n  namespace: {namespace}\nstringData:\n  \
                 {key}: |\n    {body}\n---\n"
            );
        }
        text.truncate(text.len() - "---\n".len());
        text
    }

    /// Both as one stream.
    pub fn all(&self) -> String {
        format!("{}---\n{}", self.public(), self.secret())
    }

    /// Where they are written in `folder`.
    pub fn files(&self, folder: &Path) -> [PathBuf; 2] {
        [folder.join(format!("{}.yaml", self.name)), folder.join(format!("{}-secrets.yaml", self.name))]
    }

    /// Writes both files.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<[PathBuf; 2], Stop> {
        let unwritable = |e: std::io::Error| {
            Stop::bad_input(format!("{}: {e}", folder.display()), "name a folder that can be written")
        };
        std::fs::create_dir_all(folder).map_err(unwritable)?;
        let [public, secret] = self.files(folder);
        std::fs::write(&public, self.public()).map_err(unwritable)?;
        private_file::replace(&secret, &self.secret())?;
        Ok([public, secret])
    }
}

/// A string as YAML takes it, whatever is in it.
fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/:@".contains(&b))
        && !text.ends_with(':')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use operator::secrets::Secrets as _;
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::manifest::{Manifests, Pick};

    fn answers() -> Answers {
        Answers {
            name: "acme".into(),
            namespace: "okta-user-sync".into(),
            mode: "Preview",
            org_url: "https://acme.okta.com".into(),
            client_id: "0oa1api2services3app".into(),
            key: Some("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n".into()),
            app_id: "0oa9saml8app7teleprt".into(),
            address: "teleport.example.com:443".into(),
            connector: "okta: \"prod\"".into(),
            identity: "-----BEGIN PRIVATE KEY-----\nid\n-----END PRIVATE KEY-----\nssh-rsa AAAA\n".into(),
            roles: vec!["okta-requester".into(), "no".into()],
        }
    }

    #[tokio::test]
    async fn what_is_written_is_what_was_answered() {
        let answers = answers();
        let read = Manifests::read("init", &answers.all(), Pick { name: None, namespace: "default" }).unwrap();
        let spec = &read.resource.spec;
        assert_eq!(spec.okta.org_url, answers.org_url);
        assert_eq!(spec.teleport.connector, answers.connector);
        assert_eq!(spec.users.roles, answers.roles);
        assert_eq!(read.resource.metadata.namespace.as_deref(), Some("okta-user-sync"));
        let okta = answers.key.as_ref().unwrap();
        for (name, key, content) in
            [("acme-okta-key", "private.pem", okta), ("acme-teleport-identity", "identity", &answers.identity)]
        {
            let bytes = read.secrets.get("okta-user-sync", name, key).await.unwrap();
            assert_eq!(bytes.expose_secret(), content.as_bytes());
        }
        assert!(!answers.public().contains("PRIVATE"), "P16: the file for Git holds a secret");
    }

    #[test]
    fn without_a_key_none_is_named_and_none_is_written() {
        let answers = Answers { key: None, ..answers() };
        let read = Manifests::read("init", &answers.all(), Pick { name: None, namespace: "default" }).unwrap();
        assert!(read.resource.spec.okta.private_key_secret_ref.is_none());
        assert_eq!(answers.secret().matches("kind: Secret").count(), 1);
        assert!(!answers.all().contains("okta-key"));
    }
}
