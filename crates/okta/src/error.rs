//! Everything that can go wrong between this program and Okta, with class, reason and remedy.

use std::time::Duration;

use engine::failure::{Class, Failure, Side};

use crate::{
    governor::Bucket,
    key::KeyError,
    org_url::OrgUrlError,
    pager::PageFault,
    refusal::{Refusal, Verdict},
};

/// What to do about a proxy that refuses.
pub(crate) const PROXY: &str =
    "The HTTP proxy wants a credential; put it into HTTPS_PROXY, or name the host in NO_PROXY.";

/// A failure at Okta or on the way to it. Holds no secret and no profile value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OktaError {
    /// The address of the organisation is none.
    #[error(transparent)]
    OrgUrl(#[from] OrgUrlError),
    /// The private key is none, or could not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The client ID cannot be one.
    #[error("{0:?} is not a client ID")]
    ClientId(String),
    /// An id that cannot be one of Okta's, and so may not become part of an address.
    #[error("{0:?} is not an id of Okta's")]
    NotAnId(String),
    /// The bundle of certificate authorities cannot be read.
    #[error("the CA bundle cannot be used: {0}")]
    CaBundle(String),
    /// No HTTP client could be made.
    #[error("no HTTPS client could be made: {0}")]
    Client(String),
    /// No connection, or it broke.
    #[error("{host} could not be reached: {cause}")]
    Unreachable {
        /// Who was called.
        host: String,
        /// What the network said.
        cause: String,
    },
    /// The HTTP proxy on the way wants a credential, or another one.
    #[error("the HTTP proxy on the way to {host} refused: {cause}")]
    ProxyRefused {
        /// Who was called.
        host: String,
        /// What it said.
        cause: String,
    },
    /// The server's certificate was not accepted.
    #[error("the certificate of {host} was not accepted: {cause}")]
    Untrusted {
        /// Who was called.
        host: String,
        /// Why.
        cause: String,
    },
    /// No answer in time.
    #[error("{call} was not answered within {} s", .limit.as_secs_f32())]
    Timeout {
        /// Verb and path.
        call: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The answer broke off before its end.
    #[error("the answer to {call} broke off: {cause}")]
    BrokeOff {
        /// Verb and path.
        call: String,
        /// What the network said.
        cause: String,
    },
    /// The answer is bigger than is read.
    #[error("the answer to {call} is bigger than {limit} bytes")]
    TooBig {
        /// Verb and path.
        call: String,
        /// Bound, in bytes.
        limit: usize,
    },
    /// Another address was named instead of an answer. Never followed.
    #[error("{call} was redirected (status {status}) to {to}")]
    Redirected {
        /// Verb and path.
        call: String,
        /// HTTP status.
        status: u16,
        /// Host that was named.
        to: String,
    },
    /// A success that is not JSON, such as a sign-in page.
    #[error("{call} was answered with {kind} instead of JSON")]
    NotJson {
        /// Verb and path.
        call: String,
        /// What it was.
        kind: String,
    },
    /// JSON that breaks off or is damaged.
    #[error("the answer to {call} is no complete JSON: {cause}")]
    Damaged {
        /// Verb and path.
        call: String,
        /// Where.
        cause: String,
    },
    /// JSON of another shape.
    #[error("the answer to {call} has an unexpected shape: {cause}")]
    Unexpected {
        /// Verb and path.
        call: String,
        /// Where, without values.
        cause: String,
    },
    /// The management API refused.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The token endpoint refused.
    #[error("{refusal}")]
    TokenRefused {
        /// Its words.
        refusal: Box<Refusal>,
        /// Name of the key that signed.
        kid: String,
    },
    /// DPoP is demanded by Okta and switched off here.
    #[error("Okta demands DPoP for this app, and it is switched off here")]
    DpopDemanded,
    /// DPoP is demanded here and Okta gave an unbound token.
    #[error("Okta gave a token that is not bound to a key, and DPoP is demanded here")]
    DpopNotGiven,
    /// The token lacks a scope that the call needs.
    #[error("Okta granted {granted:?}, but {missing} is needed")]
    ScopeMissing {
        /// What is missing.
        missing: String,
        /// What was granted.
        granted: Vec<String>,
    },
    /// The share of a rate limit is used up for longer than a call may wait.
    #[error("the budget for {bucket} is used up: {} s to wait, {} s allowed", .wait.as_secs(), .allowed.as_secs())]
    BudgetUsedUp {
        /// Which limit.
        bucket: Bucket,
        /// What would have to be waited.
        wait: Duration,
        /// What a call may wait.
        allowed: Duration,
    },
    /// A list could not be read to its end (P1).
    #[error("page {page} of {list} could not be read, so the list is incomplete: {cause}")]
    Incomplete {
        /// Which list.
        list: String,
        /// Which page, from 1.
        page: usize,
        /// Why.
        cause: Box<OktaError>,
    },
    /// A page of a list cannot be relied on.
    #[error(transparent)]
    Page(#[from] PageFault),
    /// The host is not an Okta organisation.
    #[error("{host} does not answer as an Okta organisation: {cause}")]
    NotOkta {
        /// The host.
        host: String,
        /// What it did.
        cause: String,
    },
    /// The app ID is that of the API Services app.
    #[error("the app ID {0} is the client ID of this program's own API Services app")]
    AppIsClient(String),
    /// The app is not one that people sign in to by SAML.
    #[error("the app {label:?} ({id}) has the sign-on mode {mode}, not SAML_2_0")]
    AppNotSaml {
        /// Its id.
        id: String,
        /// Its label.
        label: String,
        /// Its sign-on mode.
        mode: String,
    },
    /// The app is gone.
    #[error("the app {0} does not exist, or may not be seen")]
    AppNotFound(String),
    /// No group of that name or id.
    #[error("no group has the id or the exact name {0:?}, or it may not be seen")]
    GroupNotFound(String),
    /// Several groups of that name.
    #[error("{count} groups have the name {name:?}")]
    GroupAmbiguous {
        /// The name.
        name: String,
        /// How many.
        count: usize,
    },
    /// No group was named.
    #[error("the people are to come from groups, but no group is named")]
    NoGroups,
}

impl OktaError {
    /// Its kind.
    #[must_use]
    pub fn class(&self) -> Class {
        self.verdict().class
    }

    /// `PascalCase` word for a condition's reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.verdict().reason
    }

    /// What a person can do next, in the words of Okta's admin console.
    #[must_use]
    pub fn remedy(&self) -> String {
        self.verdict().remedy.into_owned()
    }

    /// What Okta said, when it refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) | Self::TokenRefused { refusal, .. } => Some(refusal),
            Self::Incomplete { cause, .. } => cause.refusal(),
            _ => None,
        }
    }

    /// Whether the same call may succeed right away, after a pause.
    pub(crate) fn is_fleeting(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::BrokeOff { .. }
            | Self::Damaged { .. }
            | Self::NotJson { .. } => true,
            Self::Refused(refusal) | Self::TokenRefused { refusal, .. } => {
                refusal.status >= 500 || matches!(refusal.status, 408 | 425)
            }
            _ => false,
        }
    }

    fn verdict(&self) -> Verdict {
        match self {
            Self::OrgUrl(error) => Verdict::new(Class::Configuration, "OrgUrlInvalid", error.hint()),
            Self::Key(error) => Verdict::new(Class::Credential, error.reason(), error.remedy()),
            Self::Refused(refusal) => refusal.verdict(),
            Self::TokenRefused { refusal, kid } => refusal.token_verdict(kid),
            Self::Incomplete { cause, .. } => cause.verdict_mid_list(),
            Self::Page(fault) => Verdict::new(Class::Transient, fault.reason(), fault.remedy()),
            Self::ScopeMissing { missing, .. } => Verdict::new(
                Class::Permission,
                "ScopeMissing",
                format!(
                    "In the Admin Console open Applications > Applications > your API Services app > Okta API Scopes and \
                     grant {missing}."
                ),
            ),
            other => other.own_verdict(),
        }
    }

    /// Failures that Okta did not put into words: of the way to it, and of what came back.
    fn own_verdict(&self) -> Verdict {
        let (class, reason, remedy) = match self {
            Self::ClientId(_) => (
                Class::Configuration,
                "ClientIdInvalid",
                "Copy the Client ID (0oa…) from Applications > Applications > your API Services app > General.",
            ),
            Self::NotAnId(_) => (
                Class::Configuration,
                "IdInvalid",
                "Copy the id from the address bar of the Admin Console: 20 letters and digits, an app's begins with 0oa, \
                 a group's with 00g, a person's with 00u.",
            ),
            Self::CaBundle(_) => (
                Class::Configuration,
                "CaBundleInvalid",
                "Put the certificates of the authorities in PEM form, one below the other, into what \
                 spec.okta.caBundleRef (or the operator's --okta-ca) names.",
            ),
            Self::Client(_) => (
                Class::Configuration,
                "HttpClient",
                "Give the container a bundle of certificate authorities (package ca-certificates), or name one.",
            ),
            Self::Unreachable { .. } => (
                Class::Transient,
                "OktaUnreachable",
                "The next try follows by itself. If it stays so: check the org URL, DNS, network policies and HTTPS_PROXY \
                 of this pod; port 443 to Okta has to be open.",
            ),
            Self::ProxyRefused { .. } => (Class::Configuration, "ProxyRefused", PROXY),
            Self::Untrusted { .. } => (
                Class::Configuration,
                "CertificateUntrusted",
                "If a proxy of your own answers for Okta, name its certificate authority in spec.okta.caBundleRef; else \
                 check the org URL.",
            ),
            Self::Timeout { .. } | Self::BrokeOff { .. } | Self::Damaged { .. } => (
                Class::Transient,
                "OktaUnavailable",
                "The next try follows by itself. If it stays so, look at https://status.okta.com and at proxies on the \
                 way.",
            ),
            Self::TooBig { .. } => (
                Class::Transient,
                "AnswerTooBig",
                "No answer of Okta's is that big. Check what answers for the org URL.",
            ),
            Self::Redirected { .. } | Self::NotJson { .. } | Self::NotOkta { .. } => (
                Class::Configuration,
                "NotOkta",
                "Use the organisation's own address as org URL, such as https://acme.okta.com (the Admin Console shows it \
                 under your name, top right), and make sure that no proxy or sign-in page answers in its place.",
            ),
            Self::Unexpected { .. } => (
                Class::Transient,
                "AnswerUnexpected",
                "If it stays so, Okta has changed the shape of its answers, or something else answers for it. Please \
                 report it.",
            ),
            _ => return self.setting_verdict(),
        };
        Verdict::new(class, reason, remedy)
    }

    /// Failures that the resource's own settings cause.
    fn setting_verdict(&self) -> Verdict {
        let (class, reason, remedy) = match self {
            Self::DpopDemanded => (
                Class::Configuration,
                "DpopDemanded",
                "Set spec.okta.dpop to Auto (recommended), or untick \"Require Demonstrating Proof of Possession (DPoP) \
                 header in token requests\" in Applications > your API Services app > General.",
            ),
            Self::DpopNotGiven => (
                Class::Configuration,
                "DpopNotGiven",
                "Tick \"Require Demonstrating Proof of Possession (DPoP) header in token requests\" in Applications > your \
                 API Services app > General, or set spec.okta.dpop to Auto.",
            ),
            Self::BudgetUsedUp { .. } => (
                Class::Budget,
                "BudgetUsedUp",
                "The next try waits for the reset. Raise spec.okta.budgetPercent or spec.interval, or this app's share in \
                 Applications > your API Services app > Application rate limits; Reports > Rate Limits shows who else \
                 calls.",
            ),
            Self::AppIsClient(_) => (
                Class::Configuration,
                "AppIsClient",
                "Name the SAML app that people use to sign in to Teleport, not the API Services app: open it under \
                 Applications > Applications and copy the 0oa… from the address bar.",
            ),
            Self::AppNotSaml { .. } => (
                Class::Configuration,
                "AppNotSaml",
                "Name the SAML app that people use to sign in to Teleport: open it under Applications > Applications and \
                 copy the 0oa… from the address bar.",
            ),
            Self::AppNotFound(_) => (
                Class::Configuration,
                "AppNotFound",
                "Compare the app ID with the 0oa… in the address bar of the app's page in the Admin Console. If it is \
                 right, the resource set in Applications > your API Services app > Admin roles does not contain the app.",
            ),
            Self::GroupNotFound(_) => (
                Class::Configuration,
                "GroupNotFound",
                "Compare it with Directory > Groups. If it is right, the resource set in Applications > your API Services \
                 app > Admin roles does not contain the group.",
            ),
            Self::GroupAmbiguous { .. } => (
                Class::Configuration,
                "GroupAmbiguous",
                "Name the group by its id (00g… in the address bar of Directory > Groups > the group).",
            ),
            Self::NoGroups => (Class::Configuration, "NoGroups", "Name at least one group in spec.scope.groups."),
            _ => (Class::Bug, "Unclassified", "Please report it."),
        };
        Verdict::new(class, reason, remedy)
    }

    /// The same on a later page of a list: the organisation has answered before, so what looks like a wrong address
    /// is something that stands in the way for a while.
    fn verdict_mid_list(&self) -> Verdict {
        let verdict = self.verdict();
        match self {
            Self::Redirected { .. } | Self::NotJson { .. } => Verdict { class: Class::Transient, ..verdict },
            _ => verdict,
        }
    }
}

impl From<OktaError> for Failure {
    fn from(error: OktaError) -> Self {
        let verdict = error.verdict();
        Self::new(Side::Okta, verdict.class, verdict.reason, error.to_string(), verdict.remedy)
    }
}
