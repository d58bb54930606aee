//! Why the server would not let us join, told apart by its texts (Teleport 15 to 17; later ones are told in the server's words).

use engine::failure::Class;

/// What the server objects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinCause {
    /// The platform's token is for another audience.
    Audience,
    /// The platform's token has expired.
    Expired,
    /// No rule of the provision token fits this `ServiceAccount`.
    NotAllowed,
    /// The platform's token is not bound to a pod.
    NotPodBound,
    /// The platform's token lives longer than 30 minutes.
    TooLong,
    /// The platform's token is signed with a key that the provision token does not know.
    KeyUnknown,
    /// The signature of the platform's token is wrong.
    SignatureBad,
    /// The provision token is for another role.
    RoleNotAllowed,
    /// There is no provision token of that name.
    TokenUnknown,
    /// The platform's token cannot be read here.
    Unreadable,
    /// The server's authority is not the pinned one.
    Pin,
    /// Something else.
    Other,
}

/// A join that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefusal {
    /// Name of the provision token.
    pub token: String,
    /// What the server objects to.
    pub cause: JoinCause,
    /// The server's words.
    pub text: String,
}

/// Parts of texts, and what they mean.
const TEXTS: [(&str, JoinCause); 9] = [
    ("invalid audience claim", JoinCause::Audience),
    ("token is expired (exp)", JoinCause::Expired),
    ("did not match any allow rules", JoinCause::NotAllowed),
    ("requires the use of projected pod bound service account token", JoinCause::NotPodBound),
    ("ttl of less than 30m", JoinCause::TooLong),
    ("unsupported key type/format", JoinCause::KeyUnknown),
    ("error in cryptographic primitive", JoinCause::SignatureBad),
    ("token expired or not found", JoinCause::TokenUnknown),
    ("the token does not allow", JoinCause::RoleNotAllowed),
];

impl JoinRefusal {
    /// Reads the server's words.
    #[must_use]
    pub fn read(token: &str, text: &str) -> Self {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let lower = text.to_lowercase();
        let cause = TEXTS.iter().find(|(part, _)| lower.contains(part)).map_or(JoinCause::Other, |(_, cause)| *cause);
        Self { token: token.to_owned(), cause, text: text.chars().take(500).collect() }
    }

    /// Kind of the failure.
    #[must_use]
    pub fn class(&self) -> Class {
        match self.cause {
            JoinCause::Expired | JoinCause::SignatureBad | JoinCause::Unreadable | JoinCause::Pin => Class::Credential,
            JoinCause::Audience
            | JoinCause::NotAllowed
            | JoinCause::NotPodBound
            | JoinCause::TooLong
            | JoinCause::KeyUnknown
            | JoinCause::RoleNotAllowed
            | JoinCause::TokenUnknown => Class::Configuration,
            JoinCause::Other => Class::Transient,
        }
    }

    /// Word for a condition's reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.cause {
            JoinCause::Audience => "JoinAudienceWrong",
            JoinCause::Expired => "JoinTokenExpired",
            JoinCause::NotAllowed => "JoinNotAllowed",
            JoinCause::NotPodBound => "JoinTokenNotPodBound",
            JoinCause::TooLong => "JoinTokenTooLong",
            JoinCause::KeyUnknown => "JoinKeysRotated",
            JoinCause::SignatureBad => "JoinSignatureWrong",
            JoinCause::RoleNotAllowed => "JoinRoleNotAllowed",
            JoinCause::TokenUnknown => "JoinTokenUnknown",
            JoinCause::Unreadable => "JoinTokenUnreadable",
            JoinCause::Pin => "AuthorityPinMismatch",
            JoinCause::Other => "JoinRefused",
        }
    }

    /// What happened.
    #[must_use]
    pub fn message(&self) -> String {
        match self.cause {
            JoinCause::Unreadable | JoinCause::Pin => self.text.clone(),
            _ => format!("Teleport would not let this operator join with the token {:?}: {}", self.token, self.text),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> String {
        let token = &self.token;
        match self.cause {
            JoinCause::Audience => "set the audience of the projected ServiceAccount token to the name of the Teleport cluster (volumes: projected: \
                                    sources: serviceAccountToken: audience)"
                .into(),
            JoinCause::Expired => "see whether the projected token is still renewed by the kubelet, and compare the clocks of both sides".into(),
            JoinCause::NotAllowed => format!(
                "add this operator's ServiceAccount to the token: tctl edit token/{token}, spec.kubernetes.allow: [{{service_account: \
                 \"<namespace>:<name>\"}}]"
            ),
            JoinCause::NotPodBound => "mount a projected ServiceAccount token (volumes: projected), not the one of a Secret".into(),
            JoinCause::TooLong => "set expirationSeconds of the projected ServiceAccount token to 1800 or less".into(),
            JoinCause::KeyUnknown => format!(
                "the Kubernetes cluster signs with new keys: put the output of kubectl get --raw /openid/v1/jwks into spec.kubernetes.static_jwks.jwks \
                 (tctl edit token/{token})"
            ),
            JoinCause::SignatureBad => format!(
                "the token is of another Kubernetes cluster than the keys in token/{token}, or the JWKS there is damaged; put in the output of kubectl \
                 get --raw /openid/v1/jwks"
            ),
            JoinCause::RoleNotAllowed => format!("let the token be for this role (tctl edit token/{token}, spec.roles: [Bot], or [Okta] for the system role)"),
            JoinCause::TokenUnknown => format!(
                "make the token (tctl create), or give its name rightly; {token:?} is not there or has expired (kubernetes tokens need no expiry)"
            ),
            JoinCause::Unreadable => "mount a projected ServiceAccount token into this pod at that path".into(),
            JoinCause::Pin => "give the pin that tctl status shows (CA pin), and be sure that the address is your cluster's".into(),
            JoinCause::Other => format!("see the log of Teleport's Auth Service and tctl get token/{token}; it is tried again by itself"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_recognised_and_has_its_remedy() {
        for (text, cause, remedy) in [
            ("go-jose/go-jose/jwt: validation failed, invalid audience claim (aud)", JoinCause::Audience, "audience"),
            ("square/go-jose/jwt: validation failed, token is expired (exp)", JoinCause::Expired, "clocks"),
            ("kubernetes failed: did not match any allow rules", JoinCause::NotAllowed, "service_account"),
            (
                "static_jwks joining requires the use of projected pod bound service account token",
                JoinCause::NotPodBound,
                "projected",
            ),
            ("must have a TTL of less than 30m0s", JoinCause::TooLong, "1800"),
            ("unsupported key type/format", JoinCause::KeyUnknown, "jwks"),
            ("error in cryptographic primitive", JoinCause::SignatureBad, "jwks"),
            ("token expired or not found", JoinCause::TokenUnknown, "tctl create"),
            ("boom", JoinCause::Other, "log"),
        ] {
            let refusal = JoinRefusal::read("okta-user-sync", text);
            assert_eq!(refusal.cause, cause, "{text}");
            assert!(refusal.remedy().contains(remedy), "{text}: {}", refusal.remedy());
            assert!(refusal.message().contains(text) && !refusal.reason().is_empty());
        }
    }
}
