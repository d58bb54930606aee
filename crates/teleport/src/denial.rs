//! Why the server said "permission denied", and the words that mend it.
//!
//! One code stands for a missing rule, a lock on the caller, a demand for a second factor, a pinned address and more. The texts are those of
//! Teleport 15 to 18; what is not recognised is told with the rule that the call needs.

use crate::call::Call;

/// What the server objects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The role lacks these (verb, kind) pairs.
    Rule(Vec<(String, String)>),
    /// A lock hits our own identity.
    Locked,
    /// The cluster wants a second factor for administrative calls.
    SecondFactor,
    /// The certificate is bound to another address, or should be bound to one.
    PinnedAddress,
    /// The cluster wants keys kept in hardware, or trusted devices.
    HardwareKey,
    /// The certificate's time is over.
    Expired,
    /// The object belongs to others, or to the system role Okta.
    Origin,
    /// The bot may not impersonate the roles that it asked for.
    Impersonation,
    /// The server did not say.
    Unsaid,
}

/// A refusal for want of permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Which call.
    pub call: Call,
    /// Our own user name.
    pub own: String,
    /// What the server objects to.
    pub cause: Cause,
    /// The server's words.
    pub text: String,
}

impl Denial {
    /// Reads the server's words.
    #[must_use]
    pub fn read(call: Call, own: &str, text: String) -> Self {
        let has = |word: &str| text.to_lowercase().contains(word);
        let rules = rules(&text);
        let cause = if !rules.is_empty() {
            Cause::Rule(rules)
        } else if has("lock targeting") {
            Cause::Locked
        } else if has("mfa verification") {
            Cause::SecondFactor
        } else if has("pinned ip") || has("ip pinning") {
            Cause::PinnedAddress
        } else if has("private key policy") || has("trusted device") || has("unauthorized device") {
            Cause::HardwareKey
        } else if has("have expired") {
            Cause::Expired
        } else if has("okta service") || has("okta resource") {
            Cause::Origin
        } else if call == Call::GenerateUserCerts {
            Cause::Impersonation
        } else if call.rule().is_none() {
            // Everybody may ask who they are; who may not is locked (17 does not say so).
            Cause::Locked
        } else {
            Cause::Unsaid
        };
        Self { call, own: own.to_owned(), cause, text }
    }

    /// What happened.
    #[must_use]
    pub fn message(&self) -> String {
        let Self { own, text, .. } = self;
        let method = self.call.method();
        match &self.cause {
            Cause::Rule(rules) => {
                let missing: Vec<String> = rules.iter().map(|(verb, kind)| format!("{kind}:{verb}")).collect();
                format!("no role of {own} allows {} ({method})", missing.join(", "))
            }
            Cause::Locked => format!("a lock in Teleport hits this operator's own identity {own}: {text}"),
            Cause::SecondFactor => format!("Teleport wants a second factor from {own} for {method}"),
            Cause::PinnedAddress => format!("Teleport does not take the identity {own} from this address: {text}"),
            Cause::HardwareKey => format!("Teleport wants a hardware key or a trusted device from {own}: {text}"),
            Cause::Expired => format!("Teleport says that the credentials of {own} have expired: {text}"),
            Cause::Origin => format!("Teleport refused {method} because of the object's origin: {text}"),
            Cause::Impersonation => format!("{own} may not impersonate the roles that it asks for: {text}"),
            Cause::Unsaid => format!("Teleport refused {method} to {own} and did not say why: {text}"),
        }
    }

    /// Word for a condition's reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.cause {
            Cause::Rule(_) | Cause::Unsaid => "PermissionMissing",
            Cause::Impersonation => "RolesNotAllowedToBot",
            Cause::Locked => "IdentityLocked",
            Cause::SecondFactor => "SecondFactorDemanded",
            Cause::PinnedAddress => "AddressPinned",
            Cause::HardwareKey => "HardwareKeyDemanded",
            Cause::Expired => "IdentityExpired",
            Cause::Origin => "OriginRefused",
        }
    }

    /// What to do next, with the YAML where a rule is missing.
    #[must_use]
    pub fn remedy(&self) -> String {
        let own = &self.own;
        match &self.cause {
            Cause::Rule(rules) => {
                let kind = rules.first().map_or("user", |(_, kind)| kind.as_str());
                let verbs: Vec<&str> =
                    rules.iter().filter(|(_, other)| other == kind).map(|(verb, _)| verb.as_str()).collect();
                format!("add to a role of {own}: {}", rule_yaml(kind, &verbs))
            }
            Cause::Unsaid => match self.call.rule() {
                Some((kind, verbs)) => format!(
                    "see that a role of {own} has {}, that no deny rule takes it away, and that no lock hits {own} (tctl get \
                     locks)",
                    rule_yaml(kind, verbs)
                ),
                None => "see the log of Teleport's Auth Service".into(),
            },
            Cause::Impersonation => format!(
                "let the bot have these roles (tctl bots update {} --add-roles=…), or lift a lock on it (tctl get locks)",
                own.trim_start_matches("bot-")
            ),
            Cause::Locked => format!(
                "find the lock with tctl get locks (target user {own}, one of its roles, its bot instance or its join token) \
                 and, if it should go, tctl rm lock/<name>"
            ),
            Cause::SecondFactor => {
                "use a bot's identity (tbot, or tctl bots add), or one that tctl auth sign wrote on the \
                                    Auth Server; a person's tsh login cannot do this"
                    .into()
            }
            Cause::PinnedAddress => {
                "turn pin_source_ip off in the roles of this identity, or issue the identity from this \
                                     address"
                    .into()
            }
            Cause::HardwareKey => "give this identity roles without require_session_mfa: hardware_key… and without \
                                   device_trust_mode: required; bots cannot fulfil either"
                .into(),
            Cause::Expired => "issue a new identity, or see why tbot no longer renews it".into(),
            Cause::Origin => {
                "objects of origin okta can be written by the system role Okta alone, and it can write no \
                              others; see docs/teleport-setup.md"
                    .into()
            }
        }
    }
}

/// A rule as it stands in a role, on one line.
fn rule_yaml(kind: &str, verbs: &[&str]) -> String {
    format!("spec: {{allow: {{rules: [{{resources: [{kind}], verbs: [{}]}}]}}}}", verbs.join(", "))
}

/// The (verb, kind) pairs of `access denied to perform action "create" on "user", access denied to …`.
fn rules(text: &str) -> Vec<(String, String)> {
    text.split("perform action ")
        .skip(1)
        .filter_map(|part| {
            let mut quoted = part.split('"').skip(1).step_by(2);
            Some((quoted.next()?.to_owned(), quoted.next()?.to_owned()))
        })
        .collect()
}
