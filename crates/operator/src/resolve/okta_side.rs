//! Okta's half: the key, and the clients that are made of it, that of passes and that of the System Log.

use std::{sync::Arc, time::Duration};

use api::{
    OktaUserSyncSpec,
    spec::{self, Source},
};
use engine::failure::{Class, Failure, Side};
use okta::{OktaClient, OktaError, OrgUrl, Patience, Scope, Transport, key::PrivateKey};
use secrecy::ExposeSecret as _;

use super::{Print, Resolver, Subject, bundle, wanted::Wanted};
use crate::secrets::{SecretBytes, Secrets};

impl Resolver {
    /// The client for Okta alone: a preflight looks at either side, whatever is wrong with the other.
    ///
    /// # Errors
    /// The org URL, client ID or key cannot be had or used.
    pub async fn okta_alone(&self, subject: &Subject<'_>, secrets: &impl Secrets) -> Result<Arc<OktaClient>, Failure> {
        let key = self.read_key(subject, secrets).await?;
        let bundle = bundle::read(subject, secrets).await?;
        self.okta(subject, (&key, bundle.as_deref()))
    }

    /// Whether Okta gives a token for `key`. What other clients do is not touched by it.
    pub(crate) async fn prove(
        &self,
        subject: &Subject<'_>,
        key: &SecretBytes,
        secrets: &impl Secrets,
    ) -> Result<(), Failure> {
        let bundle = bundle::read(subject, secrets).await?;
        let scopes = scopes_of(subject.spec);
        // One of its own: another's might have a token already.
        self.okta_client(subject.spec, (key, bundle.as_deref()), scopes)?.prove().await
    }

    /// The client of passes: one for all that are alike.
    pub(super) fn okta(
        &self,
        subject: &Subject<'_>,
        material: (&SecretBytes, Option<&[u8]>),
    ) -> Result<Arc<OktaClient>, Failure> {
        let scopes = scopes_of(subject.spec);
        // How patient it is depends on the interval.
        let words = format!("{} {scopes:?} {:?}", place_of(subject.spec), subject.spec.interval);
        let print = Print::with_bundle(&words, material.0, material.1);
        self.oktas.get(print, || self.okta_client(subject.spec, material, scopes))
    }

    /// The client that reads the System Log, unless it is not wanted, and what it is made of: one for all that are alike.
    pub(super) fn feed(
        &self,
        subject: &Subject<'_>,
        material: (&SecretBytes, Option<&[u8]>),
    ) -> Result<Option<(Print, Arc<OktaClient>)>, Failure> {
        if subject.spec.okta.fast_path == spec::FastPath::Disabled || subject.spec.mode == spec::Mode::Preview {
            return Ok(None);
        }
        let scopes = vec![Scope::Logs];
        let words = format!("{} {scopes:?}", place_of(subject.spec));
        let print = Print::with_bundle(&words, material.0, material.1);
        let client = self.oktas.get(print, || self.okta_client(subject.spec, material, scopes))?;
        Ok(Some((print, client)))
    }

    fn okta_client(
        &self,
        spec: &OktaUserSyncSpec,
        material: (&SecretBytes, Option<&[u8]>),
        scopes: Vec<Scope>,
    ) -> Result<OktaClient, Failure> {
        let settings = self.okta_settings(spec, material, scopes)?;
        let governor = self.governors.of(settings.org_url.clone());
        Ok(OktaClient::new(settings, governor)?)
    }

    /// Connections to that organisation: the same for all that trust the same authorities.
    fn transport(&self, org: &OrgUrl, bundle: Option<&[u8]>, timeout: Duration) -> Result<Arc<Transport>, OktaError> {
        let words = format!("{} {timeout:?}", org.is_local());
        let print = Print::with_bundle(&words, &SecretBytes::default(), bundle);
        self.transports.get(print, || Transport::new(org, bundle, timeout))
    }

    fn okta_settings(
        &self,
        spec: &OktaUserSyncSpec,
        (key, bundle): (&SecretBytes, Option<&[u8]>),
        scopes: Vec<Scope>,
    ) -> Result<okta::Settings, Failure> {
        let okta = &spec.okta;
        let org_url = OrgUrl::parse(&okta.org_url).map_err(OktaError::from)?;
        let key = PrivateKey::parse(key.expose_secret()).map_err(OktaError::from)?;
        let patience = Patience::default().within(spec.interval.into());
        let ca_bundle = bundle::joined([self.defaults.okta_ca.as_deref(), bundle]);
        let transport = self.transport(&org_url, ca_bundle.as_deref(), patience.timeout)?;
        Ok(okta::Settings {
            dpop: match okta.dpop {
                spec::Dpop::Auto => okta::Dpop::Auto,
                spec::Dpop::Required => okta::Dpop::Required,
                spec::Dpop::Disabled => okta::Dpop::Disabled,
            },
            budget_percent: u8::try_from(okta.budget_percent).unwrap_or(100),
            transport: Some(transport),
            scopes,
            patience,
            ..okta::Settings::new(org_url, okta.client_id.clone(), key)
        })
    }

    pub(super) async fn read_key(&self, subject: &Subject<'_>, secrets: &impl Secrets) -> Result<SecretBytes, Failure> {
        let named = subject.spec.okta.private_key_secret_ref.as_ref();
        let own = subject.own_key.as_ref().filter(|_| named.is_none());
        if named.or(own).is_none() {
            return Err(no_key(subject));
        }
        let wanted = Wanted {
            side: Side::Okta,
            field: if own.is_some() { "status.publicKey" } else { "okta.privateKeySecretRef" },
            what: "the private key (PEM or JWK) of the API Services app",
            missing: "KeySecretMissing",
            otherwise: "",
        };
        wanted.read(subject.namespace, named.or(own), secrets).await
    }
}

/// Only an operator makes keys, and asks for one before it comes here: elsewhere one has to be given.
fn no_key(subject: &Subject<'_>) -> Failure {
    let Subject { namespace, name, .. } = subject;
    Failure::new(
        Side::Okta,
        Class::Configuration,
        "KeySecretMissing",
        "okta.privateKeySecretRef is not set: in a cluster the operator makes a key then, here there is none",
        format!(
            "give the private key with --okta-key FILE. If an operator has made it: kubectl get secret -n {namespace} \
             \"$(kubectl get ous {name} -n {namespace} -o jsonpath='{{.status.publicKey.secretName}}')\" -o \
             jsonpath='{{.data.private\\.pem}}' | base64 -d > FILE. If there is none yet: okta-user-sync key new FILE"
        ),
    )
}

/// Where clients lead and how they behave there, whatever they are for.
fn place_of(spec: &OktaUserSyncSpec) -> String {
    let okta = &spec.okta;
    format!("{} {} {:?} {}", okta.org_url, okta.client_id, okta.dpop, okta.budget_percent)
}

/// Scopes that a pass over this resource is going to need.
fn scopes_of(spec: &OktaUserSyncSpec) -> Vec<Scope> {
    scopes(spec.scope.source, !spec.scope.groups.is_empty())
}

/// Scopes that a pass over this source is going to need, so that one token serves it.
fn scopes(source: Source, narrowed: bool) -> Vec<Scope> {
    let mut scopes = match source {
        Source::App => vec![Scope::Apps, Scope::Users],
        Source::Groups => vec![Scope::Groups, Scope::Users],
        Source::Org => vec![Scope::Users],
    };
    if narrowed && !scopes.contains(&Scope::Groups) {
        scopes.push(Scope::Groups);
    }
    scopes
}
