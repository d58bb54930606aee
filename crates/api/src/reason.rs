//! Every reason that a condition of an OktaUserSync can carry, with what it means. They are part of the API: alerts and
//! health checks match on them, so a word keeps its meaning once it is here.
//!
//! The definition's schema shows this list (`kubectl explain ous.status.conditions.reason`), `docs/reasons.md` is made
//! from it, and a test (`tests/tests/reasons.rs`) finds each word that the code uses and is not here, and each that is
//! here and not used. What happened in the case at hand, and what to do about it, says the condition's message.

/// One reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The word, in `PascalCase`.
    pub word: &'static str,
    /// What it means.
    pub means: &'static str,
}

/// Reasons that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// What they speak of.
    pub title: &'static str,
    /// The reasons.
    pub reasons: &'static [Reason],
}

const fn reason(word: &'static str, means: &'static str) -> Reason {
    Reason { word, means }
}

/// All of them, by what they speak of.
pub const GROUPS: &[Group] = &[
    Group {
        title: "The pass and the resource",
        reasons: &[
            reason("Synced", "the last pass did all that it had to do"),
            reason("Previewed", "mode is Preview: the plan was made and nothing was written"),
            reason("RemovalsHeld", "everything is done but the removals that wait for approval"),
            reason("PartlyFailed", "some people or users were left undone; the next pass tries again"),
            reason("Suspended", "spec.suspend is true; nothing is done"),
            reason("Progressing", "the first pass of this specification is under way"),
            reason("ProgressingWithRetry", "a failure is tried again by itself"),
            reason("Deleting", "the deletion policy is being carried out"),
            reason("Reached", "that side could be reached and used in the last pass"),
            reason("NotAsked", "the last pass ended before it came to that side"),
            reason("BrakeApplied", "removals wait for approval of exactly this plan"),
            reason("RewrittenByOthers", "users had been rewritten by somebody else, and were put right"),
            reason("WorthKnowing", "nothing is wrong, but something is worth knowing"),
            reason("FieldsNotDeclared", "the installed definition does not know some fields of the status"),
            reason("LeadershipLost", "the process lost its lease within the pass; its successor goes on"),
        ],
    },
    Group {
        title: "The specification and what it refers to",
        reasons: &[
            reason("AllowedRolesUnreadable", "the operator's own list of allowed roles cannot be read"),
            reason("RoleAboveCeiling", "users.roles holds a role that this operator may give to nobody"),
            reason("PatternUnreadable", "a pattern of the specification cannot be read"),
            reason("FilterUnreadable", "scope.filter is no CEL expression over user and appUser"),
            reason("AppUnknown", "scope.appID is not set, and the connector names no app"),
            reason("KeySecretMissing", "the Secret or key of okta.privateKeySecretRef is not there"),
            reason("IdentitySecretMissing", "the Secret or key of teleport.identitySecretRef is not there"),
            reason("CaBundleMissing", "the ConfigMap, Secret or key of okta.caBundleRef is not there"),
            reason("SecretForbidden", "the operator may not read that Secret or ConfigMap, or make a Secret for a key"),
            reason("SecretUnavailable", "the Kubernetes API could not be asked for a Secret or ConfigMap"),
            reason("TeleportAddressMissing", "neither the resource nor the operator names a Teleport cluster"),
            reason("OrgUrlInvalid", "okta.orgURL is no address of an organisation"),
            reason("ClientIdInvalid", "okta.clientID is no client ID"),
            reason("IdInvalid", "an app, group or person is named by something that is no id"),
            reason("CaBundleInvalid", "the bundle of certificate authorities cannot be read"),
        ],
    },
    Group {
        title: "The key of the API Services app",
        reasons: &[
            reason("KeyNotMade", "the operator has not made one yet"),
            reason("KeyNotAccepted", "the operator made it, and Okta does not accept it yet"),
            reason("KeySecretTaken", "the Secret that would hold it is there and is none of the operator's"),
            reason("KeyUnreadable", "it is neither a PEM private key nor a JWK"),
            reason("KeyNotPrivate", "it is a public key or a certificate"),
            reason("KeyEncrypted", "it is encrypted with a passphrase"),
            reason("KeyTooShort", "an RSA key needs 2048 bits or more"),
            reason("KeyUnsupported", "its kind or algorithm is none that Okta takes"),
            reason("KeyUnusable", "nothing can be signed with it"),
            reason("KeyMismatch", "Okta holds another public key under its kid"),
            reason("KeyUnknown", "Okta holds no public key under its kid"),
            reason("KeyAlgorithm", "Okta does not take its algorithm for the app"),
            reason("KeyNotRegistered", "the app has no public key at all"),
            reason("JwksUnreachable", "Okta cannot fetch the app's public keys from their URL"),
            reason("JwksInvalid", "the app's set of public keys cannot be used by Okta"),
        ],
    },
    Group {
        title: "Okta: access",
        reasons: &[
            reason("ClientUnknown", "Okta knows no client of that ID"),
            reason("ClientRefused", "Okta refuses the client and says no more"),
            reason("ClientAuthMethod", "the app authenticates by another method than a key pair"),
            reason("ClientNotService", "the app is no API Services app"),
            reason("OrgUrlMismatch", "Okta is known by another host than okta.orgURL names"),
            reason("ClockSkew", "the clock of this machine and Okta's differ too much"),
            reason("AssertionReplayed", "an assertion was taken for one that was used before"),
            reason("AssertionRefused", "Okta could not read an assertion"),
            reason("TokenRequestRefused", "Okta could not read a request for a token"),
            reason("TokenRefused", "Okta did not take an access token"),
            reason("SessionRefused", "Okta did not take this credential for the call"),
            reason("ScopesNotGranted", "the app was not granted the scopes that were asked for"),
            reason("ScopeMissing", "the token lacks a scope that the pass needs"),
            reason("FastPathNotGranted", "okta.fastPath is Required, and the System Log may not be read"),
            reason("AdminRoleMissing", "the scope is granted, but no admin role lets the app see it"),
            reason("FeatureMissing", "the organisation has no licence for the feature"),
            reason("OperationRefused", "something that Okta names stands against it"),
            reason("NetworkZone", "a network zone keeps this operator out"),
            reason("DpopDemanded", "the app demands DPoP, and okta.dpop is Disabled"),
            reason("DpopNotGiven", "okta.dpop is Required, and Okta gave an unbound token"),
            reason("DpopRefused", "Okta refuses the proof of possession"),
            reason("DpopNonce", "Okta asks for another nonce again and again"),
        ],
    },
    Group {
        title: "Okta: the way, and the budget",
        reasons: &[
            reason("OktaUnreachable", "no connection comes about"),
            reason("OktaUnavailable", "Okta is out of order, or too slow"),
            reason("OktaReadOnly", "Okta is in read-only mode"),
            reason("OktaAgentTimeout", "an agent of the organisation's directory did not answer Okta"),
            reason("NotOkta", "something else than Okta answers"),
            reason("CertificateUntrusted", "the certificate at the org URL is not trusted"),
            reason("ProxyRefused", "the HTTP proxy wants a credential"),
            reason("HttpClient", "no HTTP client can be made here"),
            reason("RateLimited", "Okta's rate limit is used up"),
            reason("BudgetUsedUp", "this operator's own share of the rate limit is used up"),
        ],
    },
    Group {
        title: "Okta: what was read",
        reasons: &[
            reason("ReadIncomplete", "the list of people was not read to its end; nobody was removed"),
            reason("EmptySource", "a scope that had people answers none; nobody was removed"),
            reason("OrganisationChanged", "another organisation answers than the one first seen"),
            reason("AppNotActive", "the app is not active; its assignments say nothing"),
            reason("AppNotSaml", "the app is no SAML app"),
            reason("AppIsClient", "scope.appID names the API Services app"),
            reason("AppNotFound", "there is no such app, or the admin role does not show it"),
            reason("GroupNotFound", "there is no such group, or the admin role does not show it"),
            reason("GroupAmbiguous", "several groups have that name"),
            reason("NoGroups", "no group is named"),
            reason("NotFound", "Okta knows nothing of that id"),
            reason("PageLink", "a page lacks its link to the next, or the link leads elsewhere"),
            reason("PageLoop", "the pages lead in a circle"),
            reason("PageRepeated", "the list changed while it was read"),
            reason("PageEntry", "an entry of a page cannot be used"),
            reason("CursorRefused", "Okta did not take the cursor of a page"),
            reason("AnswerTooBig", "an answer is bigger than any of Okta's"),
            reason("AnswerUnexpected", "an answer has another shape than Okta's"),
            reason("RequestRefused", "Okta did not take a request"),
            reason("Unclassified", "a failure that has no word yet"),
        ],
    },
    Group {
        title: "Teleport: the way",
        reasons: &[
            reason("TeleportAddressUnreadable", "teleport.address is not host:port"),
            reason("TeleportNameUnresolved", "its host has no address"),
            reason("TeleportUnreachable", "no connection comes about"),
            reason("TeleportNotTrusted", "the server's certificate is not that of the cluster"),
            reason("TeleportHandshakeFailed", "the TLS handshake broke off"),
            reason("TeleportConnectionLost", "the connection broke off within a call"),
            reason("TeleportTimeout", "no answer came in time"),
            reason("TeleportBusy", "Teleport limits this operator's calls"),
            reason("TeleportError", "Teleport failed within itself"),
            reason("TeleportAnswerUnreadable", "an answer cannot be read"),
            reason("TeleportTooOld", "this version of Teleport lacks what is needed"),
            reason("NotTeleport", "something else than Teleport answers"),
            reason("NotTeleportProxy", "a web server answers that is no Teleport Proxy"),
        ],
    },
    Group {
        title: "Teleport: identity and joining",
        reasons: &[
            reason("IdentityUnreadable", "the Secret holds no identity file"),
            reason("IdentityKeyMismatch", "key and certificate of the identity do not belong together"),
            reason("IdentityWithoutAuthority", "the identity names no certificate authority"),
            reason("IdentityNotYetValid", "the identity is not valid yet; look at the clocks"),
            reason("IdentityExpiring", "the identity runs out soon, and nobody has renewed it"),
            reason("IdentityExpired", "the identity has run out"),
            reason("IdentityRefused", "Teleport does not take the identity"),
            reason("IdentityDeleted", "the identity's own user is gone"),
            reason("IdentityDiffers", "Teleport takes this operator for somebody else than the identity says"),
            reason("IdentityLocked", "a lock stands on the identity"),
            reason("AddressPinned", "the identity is bound to another address"),
            reason("HardwareKeyDemanded", "the cluster demands a key in hardware"),
            reason("SecondFactorDemanded", "the cluster demands a second factor for this call"),
            reason("JoinAudienceWrong", "the ServiceAccount token is for another cluster"),
            reason("JoinTokenExpired", "the ServiceAccount token has run out"),
            reason("JoinNotAllowed", "the join token does not allow this ServiceAccount"),
            reason("JoinTokenNotPodBound", "the ServiceAccount token is not bound to a pod"),
            reason("JoinTokenTooLong", "the ServiceAccount token lives too long"),
            reason("JoinKeysRotated", "Teleport does not know the key that signed the ServiceAccount token"),
            reason("JoinSignatureWrong", "the signature of the ServiceAccount token is wrong"),
            reason("JoinRoleNotAllowed", "the join token is not for this role"),
            reason("JoinTokenUnknown", "there is no such join token"),
            reason("JoinTokenUnreadable", "the ServiceAccount token cannot be read"),
            reason("JoinNotOffered", "the operator joins at its own address alone, and teleport.address is another"),
            reason("AuthorityPinMismatch", "the cluster's authority is not the pinned one"),
            reason("AuthorityUnreadable", "the file with the cluster's authorities cannot be read"),
            reason("JoinRefused", "Teleport would not let this operator join"),
        ],
    },
    Group {
        title: "Teleport: users, roles and locks",
        reasons: &[
            reason("PermissionMissing", "the identity's roles do not allow the call"),
            reason("RolesNotAllowedToBot", "the bot may not impersonate its roles"),
            reason("OriginRefused", "Teleport lets only its own integration write such users"),
            reason("RoleMissing", "a role of users.roles does not exist in Teleport"),
            reason("UserNameRefused", "Teleport does not take the user name"),
            reason("DeletionWouldTakeOthers", "deleting the user would take another one with it"),
            reason("TeleportRefused", "Teleport did not take a request"),
            reason("RequestRefusedHere", "a request was too big or malformed to be sent"),
            reason("ListIncomplete", "a list of Teleport's ended early or repeated itself"),
            reason("LockLifeUnknown", "how long credentials live cannot be told, so nobody was removed"),
            reason("LockNotEnforced", "a lock is stored and not enforced yet; the account stays until it is"),
            reason("UserExists", "a user of that name appeared within the pass"),
            reason("UserChangedMeanwhile", "somebody else wrote the user within the pass"),
            reason("UserChangedHands", "the user belongs to somebody else by now"),
            reason("GaveUp", "a write failed too often within the pass"),
            reason("NobodyByThatName", "neither side knows anybody by that name"),
        ],
    },
];

/// The reason of that word.
#[must_use]
pub fn find(word: &str) -> Option<&'static Reason> {
    all().find(|reason| reason.word == word)
}

/// All reasons.
pub fn all() -> impl Iterator<Item = &'static Reason> {
    GROUPS.iter().flat_map(|group| group.reasons)
}

/// The list as the definition shows it.
pub(crate) fn description() -> String {
    let mut text = "A word for programs; the message says what happened and what to do.".to_owned();
    for group in GROUPS {
        text.push_str("\n\n");
        text.push_str(group.title);
        text.push(':');
        for reason in group.reasons {
            text.push_str("\n* ");
            text.push_str(reason.word);
            text.push_str(": ");
            text.push_str(reason.means);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_word_is_there_once_in_pascal_case_and_means_something() {
        let mut seen = BTreeSet::new();
        for Reason { word, means } in all() {
            assert!(seen.insert(word), "{word} is there twice");
            assert!(word.starts_with(|c: char| c.is_ascii_uppercase()), "{word}");
            assert!(word.chars().all(|c| c.is_ascii_alphanumeric()) && word.len() <= 64, "{word}");
            assert!(!means.is_empty() && !means.ends_with('.'), "{word}: {means}");
        }
        assert_eq!(find("Synced").map(|reason| reason.word), Some("Synced"));
        assert_eq!(find("Nonsense"), None);
    }
}
