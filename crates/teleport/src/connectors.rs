//! SAML connectors, read only: which there are, does one exist, and which Okta app stands behind it.

use engine::cluster::ConnectorLookup;
use teleport_proto::{labels, types};
use tonic::Code;

use crate::{answer::CallError, call::Call, client::TeleportClient, error::TeleportError};

/// A SAML connector of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    /// Its name, as `spec.teleport.connector` takes it.
    pub name: String,
    /// The Okta app behind it, where the connector says so.
    pub app_id: Option<String>,
}

/// The Okta app behind a connector: from the label that Teleport's own set-up writes, or else from the three places where
/// Okta's metadata leaves it.
pub(crate) fn app_id(connector: &types::SamlConnectorV2) -> Option<String> {
    let label = connector.metadata.as_ref().and_then(|metadata| metadata.labels.get(labels::OKTA_APP_ID));
    if let Some(id) = label.and_then(|id| as_app_id(id.trim())) {
        return Some(id);
    }
    let spec = connector.spec.as_ref()?;
    app_of_issuer(&spec.issuer)
        .or_else(|| app_of_metadata_url(&spec.entity_descriptor_url))
        .or_else(|| entity_id(&spec.entity_descriptor).and_then(app_of_issuer))
}

/// `http://www.okta.com/<app id>`, which is what Okta calls itself to an app.
fn app_of_issuer(issuer: &str) -> Option<String> {
    let rest = issuer.trim().strip_prefix("http://").or_else(|| issuer.trim().strip_prefix("https://"))?;
    as_app_id(rest.strip_prefix("www.okta.com/")?.trim_end_matches('/'))
}

/// `https://<org>/app/<app id>/sso/saml/metadata`.
fn app_of_metadata_url(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("/app/")?;
    let (id, rest) = rest.split_once('/')?;
    rest.starts_with("sso/saml/metadata").then(|| as_app_id(id)).flatten()
}

/// The `entityID` of the first `EntityDescriptor` of a metadata document.
fn entity_id(xml: &str) -> Option<&str> {
    let (_, rest) = xml.split_once("EntityDescriptor")?;
    let (tag, _) = rest.split_once('>')?;
    let (_, rest) = tag.split_once("entityID")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    rest.get(1..)?.split(quote).next()
}

/// Okta's ids of apps: `0oa` and letters and digits.
fn as_app_id(id: &str) -> Option<String> {
    (id.len() > 3 && id.starts_with("0oa") && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .then(|| id.to_owned())
}

impl TeleportClient {
    /// All SAML connectors, by name. A pass does not need them: it knows the one it is told of.
    ///
    /// # Errors
    /// [`TeleportError::Denied`] where the role allows only to read one by its name.
    pub async fn connectors(&self) -> Result<Vec<Connector>, TeleportError> {
        // As below; one connector whose metadata cannot be fetched would fail them all.
        let request = types::ResourcesWithSecretsRequest { with_secrets: false, saml_validation_no_follow_urls: true };
        let answer = self
            .link
            .read(Call::GetSamlConnectors, |mut stubs| async move { stubs.auth.get_saml_connectors(request).await })
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Err(self.explain(Call::GetSamlConnectors, error).await),
        };
        let mut connectors: Vec<Connector> = answer
            .saml_connectors
            .iter()
            .map(|connector| Connector {
                name: connector.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default(),
                app_id: app_id(connector),
            })
            .collect();
        connectors.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(connectors)
    }

    pub(crate) async fn look_up_connector(&self, name: &str) -> Result<ConnectorLookup, TeleportError> {
        // A read must not make the server fetch metadata from Okta.
        let request = types::ResourceWithSecretsRequest {
            name: name.to_owned(),
            with_secrets: false,
            saml_validation_no_follow_urls: true,
        };
        let answer = self
            .link
            .read(Call::GetSamlConnector, |mut stubs| {
                let request = request.clone();
                async move { stubs.auth.get_saml_connector(request).await }
            })
            .await;
        match answer {
            Ok(connector) => Ok(ConnectorLookup::Found { app_id: app_id(&connector) }),
            Err(CallError::Answer(Code::NotFound, _)) => {
                self.prove().await?;
                Ok(ConnectorLookup::Missing)
            }
            Err(error @ CallError::Answer(Code::Unavailable | Code::ResourceExhausted, _)) => {
                Err(self.explain(Call::GetSamlConnector, error).await)
            }
            Err(error @ CallError::Answer(..)) => match self.explain(Call::GetSamlConnector, error).await {
                error @ (TeleportError::IdentityGone { .. } | TeleportError::IdentityRefused { .. }) => Err(error),
                error => Ok(ConnectorLookup::Unreadable(format!("{error}; {}", error.remedy()))),
            },
            Err(CallError::Way(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(label: &str, issuer: &str, url: &str, xml: &str) -> types::SamlConnectorV2 {
        let labels = [(labels::OKTA_APP_ID.to_owned(), label.to_owned())];
        types::SamlConnectorV2 {
            metadata: Some(types::Metadata {
                labels: labels.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
                ..types::Metadata::default()
            }),
            spec: Some(types::SamlConnectorSpecV2 {
                issuer: issuer.into(),
                entity_descriptor_url: url.into(),
                entity_descriptor: xml.into(),
                ..types::SamlConnectorSpecV2::default()
            }),
            ..types::SamlConnectorV2::default()
        }
    }

    #[test]
    fn the_app_is_found_wherever_it_is_named() {
        let xml = r#"<?xml version="1.0"?><md:EntityDescriptor xmlns:md="urn:x" entityID='http://www.okta.com/0oa4xml'><md:IDPSSODescriptor/>"#;
        for (label, issuer, url, xml, app) in [
            ("0oa1label", "http://www.okta.com/0oa2issuer", "", "", Some("0oa1label")),
            ("", "http://www.okta.com/0oa2issuer", "", "", Some("0oa2issuer")),
            ("", "https://www.okta.com/0oa2issuer/", "", "", Some("0oa2issuer")),
            ("", "", "https://acme.okta.com/app/0oa3url/sso/saml/metadata", "", Some("0oa3url")),
            ("", "", "", xml, Some("0oa4xml")),
            ("no app", "http://www.okta.com/0oa2issuer", "", "", Some("0oa2issuer")),
            ("", "https://idp.example.com/0oa2issuer", "https://acme.okta.com/app/0oa3url/sso/saml", "", None),
            (
                "",
                "http://www.okta.com/0oa",
                "https://acme.okta.com/app/x/y/0oa3url/sso/saml/metadata",
                "<a entityID=x>",
                None,
            ),
            ("", "", "", "", None),
        ] {
            assert_eq!(app_id(&connector(label, issuer, url, xml)).as_deref(), app, "{label} {issuer} {url} {xml}");
        }
        assert_eq!(app_id(&types::SamlConnectorV2::default()), None);
    }
}
