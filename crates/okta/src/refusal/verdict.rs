//! What a refusal means for a person: class, reason, remedy in the words of Okta's admin console.

use std::borrow::Cow;

use engine::failure::Class;

use super::Refusal;
use crate::error::PROXY;

/// What to do about a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Its kind.
    pub(crate) class: Class,
    /// `PascalCase` word for a condition's reason.
    pub(crate) reason: &'static str,
    /// What to do next.
    pub(crate) remedy: Cow<'static, str>,
}

impl Verdict {
    pub(crate) fn new(class: Class, reason: &'static str, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { class, reason, remedy: remedy.into() }
    }
}

/// A row of a table: what the code is, what Okta's words contain, and the verdict.
type Row = (&'static str, &'static str, Class, &'static str, &'static str);

const NETWORK: &str = "Okta allows this client from certain network zones only. In the Admin Console open Security > \
                       Networks (and the app's General tab > Client network access) and add the address this program \
                       calls from.";
const CLOCK: &str = "The clock of this machine and Okta's differ; compare it with the newest entry of Reports > System \
                     Log in the Admin Console. Let the node synchronise its time (NTP); the difference is corrected \
                     as soon as Okta's Date header can be read.";
const NOT_SERVICE: &str = "The client ID belongs to an app of another kind. Make one of the kind \"API Services\" \
                           (Applications > Applications > Create App Integration > API Services) and use its client ID.";
const REPORT: &str = "This program sent something that Okta does not take. Please report it with the error id.";
const REGISTER_KEY: &str = "In the Admin Console open Applications > Applications > your API Services app > General > \
                            Client Credentials, choose \"Public key / Private key\", and add the public half of this key \
                            (PUBLIC KEYS > Add key).";
const TOKEN_SCOPES: &str = "In the Admin Console open Applications > Applications > your API Services app > Okta API \
                            Scopes and grant okta.apps.read and okta.users.read (okta.groups.read when groups are \
                            used, okta.logs.read for the fast path).";
const DPOP: &str = "Okta refused the proof of possession. If the words speak of time, let the node synchronise its clock. \
                    Otherwise set spec.okta.dpop to Auto, or report it with the error id.";
const LATER: &str =
    "Okta has trouble; the next try follows by itself. If it stays so, look at https://status.okta.com.";

/// Answers of the token endpoint (reference: RFC 6749 §5.2 with Okta's own words). First match counts.
#[rustfmt::skip]
const TOKEN: &[Row] = &[
    ("invalid_client", "Invalid value for 'client_id'", Class::Configuration, "ClientUnknown",
        "Okta knows no such client. Copy the Client ID from Applications > Applications > your API Services app > General, and make sure that the org URL is that of the same organisation."),
    ("invalid_client", "is not a valid client_id", Class::Configuration, "ClientUnknown",
        "Okta knows no such client. Copy the Client ID from Applications > Applications > your API Services app > General, and make sure that the org URL is that of the same organisation."),
    ("invalid_client", "private_key_jwt", Class::Configuration, "ClientAuthMethod",
        "The app authenticates with a client secret. In Applications > your API Services app > General > Client Credentials choose \"Public key / Private key\" and add this key's public half."),
    ("invalid_client", "application_type", Class::Configuration, "ClientNotService", NOT_SERVICE),
    ("invalid_client", "audience claim", Class::Configuration, "OrgUrlMismatch",
        "Okta is known by another host than the org URL names. Use the address that the Admin Console shows under your name (top right), or the custom domain itself."),
    ("invalid_client", "token is expired", Class::Configuration, "ClockSkew", CLOCK),
    ("invalid_client", "too far into the future", Class::Configuration, "ClockSkew", CLOCK),
    ("invalid_client", "issued before the current time", Class::Configuration, "ClockSkew", CLOCK),
    ("invalid_client", "already been used", Class::Transient, "AssertionReplayed", LATER),
    ("invalid_client", "signature is invalid", Class::Credential, "KeyMismatch",
        "Okta holds another public key under this kid. Add the public half of the key that is in use (Applications > your API Services app > General > Client Credentials > PUBLIC KEYS > Add key), or put the right private key into the Secret."),
    ("invalid_client", "kid is invalid", Class::Credential, "KeyUnknown", REGISTER_KEY),
    ("invalid_client", "signature algorithm is invalid", Class::Credential, "KeyAlgorithm",
        "Okta does not take this algorithm for the app. Use an RSA key (RS256) or an EC key (ES256), and compare the key's alg in General > Client Credentials > PUBLIC KEYS."),
    ("invalid_client", "does not have a JWKSet", Class::Credential, "KeyNotRegistered", REGISTER_KEY),
    ("invalid_client", "Error retrieving the client JWKSet", Class::Transient, "JwksUnreachable",
        "Okta cannot fetch the public keys from the URL in General > Client Credentials. It has to be https and reachable from the internet; Okta asks again after some minutes. Or save the key in Okta instead of using a URL."),
    ("invalid_client", "jwks_uri", Class::Credential, "JwksInvalid",
        "The key set at the URL in General > Client Credentials needs at least one key, each with its own kid and use \"sig\"."),
    ("invalid_client", "'use' parameter", Class::Credential, "JwksInvalid",
        "The public key registered in General > Client Credentials has to say use \"sig\"; add it again."),
    ("invalid_client", "'exp' claim", Class::Bug, "AssertionRefused", REPORT),
    ("invalid_client", "No client credentials", Class::Bug, "AssertionRefused", REPORT),
    ("invalid_client", "parsing of the client_assertion", Class::Bug, "AssertionRefused", REPORT),
    ("invalid_client", "", Class::Credential, "ClientRefused",
        "Compare client ID and key with Applications > Applications > your API Services app > General: the app has to be active, its client authentication \"Public key / Private key\", and this key in the list of public keys."),
    ("invalid_request", "", Class::Bug, "TokenRequestRefused", REPORT),
    ("unsupported_grant_type", "", Class::Configuration, "ClientNotService", NOT_SERVICE),
    ("unauthorized_client", "", Class::Configuration, "ClientNotService", NOT_SERVICE),
    ("invalid_scope", "No scopes were requested", Class::Bug, "TokenRequestRefused", REPORT),
    ("invalid_scope", "", Class::Permission, "ScopesNotGranted", TOKEN_SCOPES),
    ("consent_required", "", Class::Permission, "ScopesNotGranted", TOKEN_SCOPES),
    ("access_denied", "", Class::Permission, "NetworkZone", NETWORK),
    ("invalid_dpop_proof", "future", Class::Configuration, "ClockSkew", CLOCK),
    ("invalid_dpop_proof", "past", Class::Configuration, "ClockSkew", CLOCK),
    ("invalid_dpop_proof", "", Class::Credential, "DpopRefused", DPOP),
    ("use_dpop_nonce", "", Class::Transient, "DpopNonce", LATER),
    ("temporarily_unavailable", "", Class::Transient, "OktaUnavailable", LATER),
    ("server_error", "", Class::Transient, "OktaUnavailable", LATER),
];

/// Answers of the management API. Codes are contractual, words are not.
#[rustfmt::skip]
const API: &[Row] = &[
    ("E0000047", "", Class::Budget, "RateLimited", ""),
    ("insufficient_scope", "", Class::Permission, "ScopeMissing", ""),
    ("invalid_token", "", Class::Credential, "TokenRefused", "Okta did not take a token that it had just given. Look at Reports > System Log for the client ID; if the app was deactivated or its key removed, mend that."),
    ("invalid_dpop_proof", "future", Class::Configuration, "ClockSkew", CLOCK),
    ("invalid_dpop_proof", "past", Class::Configuration, "ClockSkew", CLOCK),
    ("invalid_dpop_proof", "", Class::Credential, "DpopRefused", DPOP),
    ("invalid_request", "DPoP", Class::Configuration, "DpopDemanded", DPOP),
    ("use_dpop_nonce", "", Class::Transient, "DpopNonce", LATER),
    ("E0000006", "", Class::Permission, "AdminRoleMissing",
        "The scope is granted, but no admin role lets the app see this. In Applications > Applications > your API Services app > Admin roles assign a role that may view applications and users, with a resource set that holds the SAML app and its people (or the standard role Read-Only Administrator)."),
    ("E0000005", "", Class::Credential, "SessionRefused",
        "Okta does not take this credential for the call. Make sure that the app is an API Services app of this organisation and active."),
    ("E0000004", "", Class::Credential, "TokenRefused", "Okta did not take the credential. Compare client ID and key with Applications > your API Services app > General."),
    ("E0000011", "", Class::Credential, "TokenRefused", "Okta did not take the token. Make sure that the app is active and its key still registered (Applications > your API Services app > General)."),
    ("E0000015", "", Class::Permission, "FeatureMissing",
        "The organisation has no licence for the feature, or the app may not use it. Ask Okta support, with the error id."),
    ("E0000007", "", Class::Configuration, "NotFound",
        "Compare the id with the one in the address bar of the Admin Console. If it is right, the resource set in Applications > your API Services app > Admin roles does not contain it."),
    ("E0000008", "", Class::Configuration, "OrgUrlMismatch", "The org URL leads to something that does not know this path. Use the address that the Admin Console shows under your name (top right)."),
    ("E0000009", "", Class::Transient, "OktaUnavailable", LATER),
    ("E0000010", "", Class::Transient, "OktaReadOnly", "Okta is in read-only mode; the next try follows by itself. See https://status.okta.com."),
    ("E0000240", "", Class::Transient, "OktaAgentTimeout", "An agent of the organisation's directory did not answer Okta in time. Look at Dashboard > Agents."),
    ("E0000054", "", Class::Transient, "CursorRefused", "Okta did not take the page cursor, which expires when a list is read slowly; the next pass begins anew."),
    ("E0000148", "", Class::Permission, "OperationRefused", "Something that Okta names in its answer stands against it; change it in the Admin Console."),
    ("E0000003", "", Class::Bug, "RequestRefused", REPORT),
    ("E0000018", "", Class::Bug, "RequestRefused", REPORT),
    ("E0000019", "", Class::Bug, "RequestRefused", REPORT),
    ("E0000021", "", Class::Bug, "RequestRefused", REPORT),
    ("E0000022", "", Class::Bug, "RequestRefused", REPORT),
    ("E0000031", "", Class::Bug, "RequestRefused", REPORT),
    ("E0000033", "", Class::Bug, "RequestRefused", REPORT),
    ("E0000053", "", Class::Bug, "RequestRefused", REPORT),
];

/// By status, for codes that are not known here and for answers without any.
fn by_status(status: u16) -> Verdict {
    match status {
        401 => Verdict::new(
            Class::Credential,
            "TokenRefused",
            "Okta did not take the credential. Compare client ID and key with Applications > your API Services app > \
             General.",
        ),
        403 => Verdict::new(
            Class::Permission,
            "OperationRefused",
            "The app may not do this. Look at its Okta API Scopes and Admin roles tabs, and at Security > Networks.",
        ),
        404 | 410 => Verdict::new(
            Class::Configuration,
            "NotFound",
            "Compare org URL and ids with the Admin Console's address bar.",
        ),
        407 => Verdict::new(Class::Configuration, "ProxyRefused", PROXY),
        408 | 425 => Verdict::new(Class::Transient, "OktaUnavailable", LATER),
        429 => Verdict::new(Class::Budget, "RateLimited", RATE),
        400..=499 => Verdict::new(
            Class::Configuration,
            "RequestRefused",
            "Okta did not take the request; its words say why. Compare the ids in the resource with the Admin Console.",
        ),
        _ => Verdict::new(Class::Transient, "OktaUnavailable", LATER),
    }
}

const RATE: &str = "Okta's rate limit is used up; the next try waits for its reset. Look at Reports > Rate Limits for who \
                    uses it. Applications > your API Services app > Application rate limits sets this app's share, \
                    spec.interval how often the list is read.";

impl Refusal {
    /// The verdict on an answer of the management API.
    pub(crate) fn verdict(&self) -> Verdict {
        let Some((_, _, class, reason, remedy)) = self.row(API) else { return by_status(self.status) };
        match *reason {
            "RateLimited" => Verdict::new(*class, reason, RATE),
            "ScopeMissing" => Verdict::new(*class, reason, self.scope_remedy()),
            _ => Verdict::new(*class, reason, *remedy),
        }
    }

    /// The verdict on an answer of the token endpoint, for a key of that name.
    pub(crate) fn token_verdict(&self, kid: &str) -> Verdict {
        let Some((_, _, class, reason, remedy)) = self.row(TOKEN) else { return self.verdict() };
        match *reason {
            "KeyUnknown" | "KeyNotRegistered" => Verdict::new(
                *class,
                reason,
                format!(
                    "{remedy} The key in use has the kid {kid:?}: it is the RFC 7638 thumbprint, unless the key was given \
                     as a JWK with a kid of its own. A key that Okta made has a kid that a PEM file does not carry; \
                     copy it as JWK instead."
                ),
            ),
            _ => Verdict::new(*class, reason, *remedy),
        }
    }

    fn row(&self, table: &'static [Row]) -> Option<&'static Row> {
        let code = self.code.as_deref()?;
        table.iter().find(|(known, words, ..)| *known == code && (words.is_empty() || self.says(words)))
    }

    fn scope_remedy(&self) -> String {
        let scope = self.challenge.as_ref().and_then(|challenge| challenge.scope.as_deref()).unwrap_or("the scope");
        format!(
            "In the Admin Console open Applications > Applications > your API Services app > Okta API Scopes and grant \
             {scope}."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: &str, summary: &str) -> Refusal {
        Refusal {
            status,
            code: (!code.is_empty()).then(|| code.to_owned()),
            summary: Some(summary.to_owned()),
            ..Refusal::default()
        }
    }

    /// Every description that Okta documents for its token endpoint.
    #[test]
    fn each_answer_of_the_token_endpoint_has_a_class_and_a_remedy() {
        use Class::{Bug, Configuration, Credential, Permission, Transient};
        #[rustfmt::skip]
        let table = [
            ("invalid_client", "Client authentication failed. Either the client or the client credentials are invalid.", Credential, "ClientRefused"),
            ("invalid_client", "Invalid value for 'client_id' parameter.", Configuration, "ClientUnknown"),
            ("invalid_client", "No client credentials found.", Bug, "AssertionRefused"),
            ("invalid_client", "Client Credentials requests to the Org Authorization Server must use the private_key_jwt token_endpoint_auth_method.", Configuration, "ClientAuthMethod"),
            ("invalid_client", "Only clients with 'application_type' of 'service' may use the client_credentials 'grant_type' with the Org Authorization Server.", Configuration, "ClientNotService"),
            ("invalid_client", "The issuer claim for client_assertion is not a valid client_id.", Configuration, "ClientUnknown"),
            ("invalid_client", "The subject claim for client_assertion is not a valid client_id.", Configuration, "ClientUnknown"),
            ("invalid_client", "The audience claim for client_assertion must be the endpoint invoked for the request.", Configuration, "OrgUrlMismatch"),
            ("invalid_client", "The client_assertion must contain the 'exp' claim as seconds since epoch.", Bug, "AssertionRefused"),
            ("invalid_client", "The client_assertion token is expired.", Configuration, "ClockSkew"),
            ("invalid_client", "The client_assertion token has an expiration too far into the future.", Configuration, "ClockSkew"),
            ("invalid_client", "The client_assertion token must be issued before the current time.", Configuration, "ClockSkew"),
            ("invalid_client", "The client_assertion token has already been used.", Transient, "AssertionReplayed"),
            ("invalid_client", "The client_assertion signature is invalid.", Credential, "KeyMismatch"),
            ("invalid_client", "The parsing of the client_assertion failed.", Bug, "AssertionRefused"),
            ("invalid_client", "The client_assertion JWT kid is invalid.", Credential, "KeyUnknown"),
            ("invalid_client", "The client_assertion JWT signature algorithm is invalid.", Credential, "KeyAlgorithm"),
            ("invalid_client", "The client does not have a JWKSet configured, but the client_assertion requires one.", Credential, "KeyNotRegistered"),
            ("invalid_client", "Error retrieving the client JWKSet from jwks_uri.", Transient, "JwksUnreachable"),
            ("invalid_client", "The client JWKSet from jwks_uri must contain at least one key.", Credential, "JwksInvalid"),
            ("invalid_client", "All keys in the client JWKSet from jwks_uri must have a unique kid.", Credential, "JwksInvalid"),
            ("invalid_client", "The public key being used has an invalid 'use' parameter.", Credential, "JwksInvalid"),
            ("invalid_request", "The client_assertion_type is invalid.", Bug, "TokenRequestRefused"),
            ("invalid_request", "Cannot supply multiple client credentials.", Bug, "TokenRequestRefused"),
            ("unsupported_grant_type", "The authorization grant type is not supported by the authorization server.", Configuration, "ClientNotService"),
            ("invalid_scope", "No scopes were requested.", Bug, "TokenRequestRefused"),
            ("invalid_scope", "The following scopes are not allowed for this request: [okta.apps.read].", Permission, "ScopesNotGranted"),
            ("consent_required", "You are not allowed any of the requested scopes.", Permission, "ScopesNotGranted"),
            ("access_denied", "The request is made from outside the client's permitted network zones.", Permission, "NetworkZone"),
            ("invalid_dpop_proof", "The DPoP proof JWT header is missing.", Credential, "DpopRefused"),
            ("invalid_dpop_proof", "The DPoP proof JWT is issued in the future.", Configuration, "ClockSkew"),
            ("use_dpop_nonce", "Authorization server requires nonce in DPoP proof.", Transient, "DpopNonce"),
            ("brand_new_error", "?", Credential, "TokenRefused"),
        ];
        for (code, summary, class, reason) in table {
            let verdict = refusal(401, code, summary).token_verdict("kid1");
            assert_eq!((verdict.class, verdict.reason), (class, reason), "{summary}");
            assert!(verdict.remedy.len() > 20, "{summary}: {}", verdict.remedy);
        }
        let unknown = refusal(401, "invalid_client", "The client_assertion JWT kid is invalid.").token_verdict("kid1");
        assert!(unknown.remedy.contains("\"kid1\"") && unknown.remedy.contains("PUBLIC KEYS > Add key"));
    }

    #[test]
    fn each_error_of_the_management_api_has_a_class_and_a_remedy() {
        use Class::{Budget, Bug, Configuration, Credential, Permission, Transient};
        for (status, code, class) in [
            (400, "E0000001", Configuration),
            (400, "E0000003", Bug),
            (401, "E0000004", Credential),
            (403, "E0000005", Credential),
            (403, "E0000006", Permission),
            (404, "E0000007", Configuration),
            (404, "E0000008", Configuration),
            (500, "E0000009", Transient),
            (503, "E0000010", Transient),
            (401, "E0000011", Credential),
            (401, "E0000015", Permission),
            (400, "E0000018", Bug),
            (400, "E0000019", Bug),
            (400, "E0000021", Bug),
            (405, "E0000022", Bug),
            (400, "E0000031", Bug),
            (400, "E0000033", Bug),
            (403, "E0000038", Permission),
            (403, "E0000046", Permission),
            (429, "E0000047", Budget),
            (400, "E0000053", Bug),
            (400, "E0000054", Transient),
            (502, "E0000240", Transient),
            (403, "E0009999", Permission),
            (418, "E0009999", Configuration),
            (599, "", Transient),
            (502, "", Transient),
            (403, "", Permission),
            (401, "", Credential),
            (429, "", Budget),
            (407, "", Configuration),
            (403, "insufficient_scope", Permission),
            (401, "invalid_token", Credential),
            (400, "invalid_dpop_proof", Credential),
        ] {
            let verdict = refusal(status, code, "").verdict();
            assert_eq!(verdict.class, class, "{status} {code}");
            assert!(verdict.remedy.len() > 20, "{status} {code}");
        }
    }
}
