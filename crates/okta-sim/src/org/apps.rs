//! Apps and who is assigned to them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::clock::Stamp;
use crate::id::OktaId;
use crate::json;

/// One assignment of a person to an app: an "app user".
#[derive(Debug)]
pub(crate) struct Assignment {
    /// Assigned directly, by an admin.
    pub direct: bool,
    /// Assigned through this group.
    pub group: Option<OktaId>,
    /// `AppUser.status`; `None` is the usual `ACTIVE`.
    pub status: Option<Box<str>>,
    pub created: Stamp,
    pub last_updated: Stamp,
    pub status_changed: Option<Stamp>,
    pub password_changed: Option<Stamp>,
    /// `credentials.userName`; `None` where the app has no user credential.
    pub user_name: Option<Box<str>>,
    /// The user name was set by an admin, so the app's template does not touch it any more.
    pub named_by_hand: bool,
    pub external_id: Option<Box<str>>,
    /// The app user's profile, a JSON object as text.
    pub profile: Box<str>,
    /// The body that was loaded as it stood, where one was.
    pub verbatim: Option<Box<Map<String, Value>>>,
}

impl Assignment {
    /// A fresh assignment as an app without provisioning shows it.
    pub fn new(user_name: &str, now: Stamp) -> Self {
        Self {
            direct: false,
            group: None,
            status: None,
            created: now,
            last_updated: now,
            status_changed: Some(now),
            password_changed: None,
            user_name: Some(user_name.into()),
            named_by_hand: false,
            external_id: None,
            profile: "{}".into(),
            verbatim: None,
        }
    }

    /// `USER` for a direct assignment, `GROUP` otherwise.
    pub fn scope(&self) -> &'static str {
        if self.direct { "USER" } else { "GROUP" }
    }

    /// `AppUser.status`.
    pub fn status(&self) -> &str {
        self.status.as_deref().unwrap_or("ACTIVE")
    }

    /// The app user's profile as a tree.
    pub fn profile_map(&self) -> Map<String, Value> {
        serde_json::from_str(&self.profile).unwrap_or_default()
    }

    /// Appends the `AppUser` object, with `embedded` (a User object as text) under `_embedded.user`.
    pub fn write(&self, out: &mut String, base: &str, app: &OktaId, person: &OktaId, embedded: Option<&str>) {
        if self.verbatim.is_some() {
            let value = Value::Object(self.tree(base, app, person, embedded));
            out.push_str(&value.to_string());
            return;
        }
        out.push('{');
        json::text(out, "id", person.as_str());
        match &self.external_id {
            Some(id) => json::text(out, "externalId", id),
            None => json::raw(out, "externalId", "null"),
        }
        json::stamp(out, "created", Some(self.created));
        json::stamp(out, "lastUpdated", Some(self.last_updated));
        json::text(out, "scope", self.scope());
        json::text(out, "status", self.status());
        json::stamp(out, "statusChanged", self.status_changed);
        json::stamp(out, "passwordChanged", self.password_changed);
        let sync = if self.external_id.is_some() { "SYNCHRONIZED" } else { "DISABLED" };
        json::text(out, "syncState", sync);
        if let Some(name) = &self.user_name {
            json::key(out, "credentials");
            out.push('{');
            json::text(out, "userName", name);
            out.push('}');
        }
        json::raw(out, "profile", &self.profile);
        json::key(out, "_links");
        self.write_links(out, base, app, person);
        if let Some(user) = embedded {
            out.extend([",\"_embedded\":{\"user\":", user, "}"]);
        }
        out.push('}');
    }

    fn write_links(&self, out: &mut String, base: &str, app: &OktaId, person: &OktaId) {
        out.extend(["{\"app\":{\"href\":\"", base, "/api/v1/apps/", app.as_str(), "\"}"]);
        out.extend([",\"user\":{\"href\":\"", base, "/api/v1/users/", person.as_str(), "\"}"]);
        if let (false, Some(group)) = (self.direct, &self.group) {
            out.extend([",\"group\":{\"href\":\"", base, "/api/v1/groups/", group.as_str(), "\"}"]);
        }
        out.push('}');
    }

    fn tree(&self, base: &str, app: &OktaId, person: &OktaId, embedded: Option<&str>) -> Map<String, Value> {
        let mut body = self.verbatim.as_deref().cloned().unwrap_or_default();
        let moment = |stamp: Option<Stamp>| stamp.map_or(Value::Null, |s| s.to_string().into());
        let mut lay = |name: &str, value: Value| {
            if body.contains_key(name) {
                body.insert(name.to_owned(), value);
            }
        };
        lay("id", person.as_str().into());
        lay("externalId", self.external_id.as_deref().map_or(Value::Null, Into::into));
        lay("created", moment(Some(self.created)));
        lay("lastUpdated", moment(Some(self.last_updated)));
        lay("scope", self.scope().into());
        lay("status", self.status().into());
        lay("statusChanged", moment(self.status_changed));
        lay("passwordChanged", moment(self.password_changed));
        if let Some(name) = &self.user_name {
            let credentials = body.entry("credentials").or_insert_with(|| json!({}));
            credentials["userName"] = name.as_ref().into();
        }
        let profile = self.profile_map();
        if body.contains_key("profile") || !profile.is_empty() {
            body.insert("profile".to_owned(), Value::Object(profile));
        }
        if !body.contains_key("_links") {
            let mut text = String::new();
            self.write_links(&mut text, base, app, person);
            body.insert("_links".to_owned(), serde_json::from_str(&text).unwrap_or(Value::Null));
        }
        match embedded.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
            Some(user) => {
                body.insert("_embedded".to_owned(), json!({ "user": user }));
            }
            None => {
                body.remove("_embedded");
            }
        }
        body
    }
}

/// A group that is assigned to an app.
#[derive(Debug, Clone)]
pub(crate) struct AppGroup {
    pub group: OktaId,
    pub priority: i64,
    pub last_updated: Stamp,
    pub profile: Map<String, Value>,
}

/// An app: the body as the API shows it (links excepted), and its assignments by the person's place.
#[derive(Debug)]
pub(crate) struct App {
    pub id: OktaId,
    /// Everything but `id` and `_links`.
    pub body: Map<String, Value>,
    pub users: BTreeMap<u32, Assignment>,
    pub groups: Vec<AppGroup>,
    /// The body came from outside and is served as it stands, links included.
    pub verbatim: bool,
}

impl App {
    /// A text of the body, or "".
    pub fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or("")
    }

    /// The app's label.
    pub fn label(&self) -> &str {
        self.text("label")
    }

    /// Whether the app's own status is `ACTIVE`.
    pub fn is_active(&self) -> bool {
        self.text("status") == "ACTIVE"
    }

    /// The template by which user names of new assignments are made.
    pub fn user_name_template(&self) -> &str {
        self.body
            .get("credentials")
            .and_then(|c| c.pointer("/userNameTemplate/template"))
            .and_then(Value::as_str)
            .unwrap_or("${source.login}")
    }

    /// The Application object; Identity Engine orgs show links to policies.
    pub fn tree(&self, base: &str, identity_engine: bool) -> Value {
        let mut body = self.body.clone();
        body.insert("id".to_owned(), self.id.as_str().into());
        if !(self.verbatim && body.contains_key("_links")) {
            body.insert("_links".to_owned(), self.links(base, identity_engine));
        }
        Value::Object(body)
    }

    fn links(&self, base: &str, identity_engine: bool) -> Value {
        let app = format!("{base}/api/v1/apps/{}", self.id);
        let name = self.text("name");
        let (verb, path) = if self.is_active() { ("deactivate", "deactivate") } else { ("activate", "activate") };
        let mut links = json!({
            "self": { "href": app },
            "appLinks": [{
                "href": format!("{base}/home/{name}/{}/aln{}", self.id, self.id.as_str().get(3..).unwrap_or("")),
                "name": format!("{name}_link"),
                "type": "text/html",
            }],
            "logo": [{
                "href": format!("{base}/assets/img/logos/default.png"), "name": "medium", "type": "image/png",
            }],
            "groups": { "href": format!("{app}/groups") },
            "users": { "href": format!("{app}/users") },
        });
        links[verb] = json!({ "href": format!("{app}/lifecycle/{path}") });
        if self.text("signOnMode") == "SAML_2_0" {
            links["metadata"] = json!({ "href": format!("{app}/sso/saml/metadata"), "type": "application/xml" });
            links["help"] = json!({
                "href": format!("{base}/app/{name}/{}/setup/help/SAML_2_0/instructions", self.id),
                "type": "text/html",
            });
            if identity_engine {
                let policy = format!("{base}/api/v1/policies/rst{}", self.id.as_str().get(3..).unwrap_or(""));
                links["accessPolicy"] = json!({ "href": policy });
                links["profileEnrollment"] = json!({ "href": policy });
                links["policies"] = json!({ "href": format!("{app}/policies"), "hints": { "allow": ["PUT"] } });
            }
            links["uploadLogo"] = json!({ "href": format!("{app}/logo"), "hints": { "allow": ["POST"] } });
        }
        links
    }
}

/// Makes an app user name from an app's template and a person's profile.
///
/// Understood: `${source.<attribute>}` (also `${user.<attribute>}`) and
/// `${fn:substringBefore(source.<attribute>, "@")}`; anything else counts as the login.
pub(crate) fn name_by_template(template: &str, profile: &Map<String, Value>) -> String {
    let attribute = |name: &str| profile.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let inner = template.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or("");
    let source = |text: &str| text.strip_prefix("source.").or_else(|| text.strip_prefix("user.")).map(str::to_owned);
    if let Some(arguments) = inner.strip_prefix("fn:substringBefore(").and_then(|rest| rest.strip_suffix(')'))
        && let Some((what, separator)) = arguments.split_once(',')
        && let Some(name) = source(what.trim())
    {
        let separator = separator.trim().trim_matches(['"', '\'']);
        let whole = attribute(&name);
        return whole.split(separator).next().unwrap_or("").to_owned();
    }
    match source(inner) {
        Some(name) => attribute(&name),
        None => attribute("login"),
    }
}

/// The body of a new SAML app, shaped like a custom SAML app of a real org.
pub(crate) fn saml_body(label: &str, name: &str, now: Stamp, kid: &str, org: &OktaId) -> Map<String, Value> {
    let mut body = common_body(label, name, now, false);
    body.insert("signOnMode".to_owned(), "SAML_2_0".into());
    body.insert("orn".to_owned(), format!("orn:okta:idp:{org}:apps:{name}").into());
    body.insert("universalLogout".to_owned(), Value::Null);
    let template = json!({ "template": "${source.login}", "type": "BUILT_IN" });
    body.insert("credentials".to_owned(), json!({ "userNameTemplate": template, "signing": { "kid": kid } }));
    let mut settings = common_settings();
    settings["emOptInStatus"] = "NONE".into();
    settings["signOn"] = saml_sign_on();
    body.insert("settings".to_owned(), settings);
    body
}

/// The body of an API Services app: an OAuth client that acts for itself.
pub(crate) fn service_body(label: &str, id: &OktaId, now: Stamp, dpop: bool) -> Map<String, Value> {
    let mut body = common_body(label, "oidc_client", now, true);
    body.insert("signOnMode".to_owned(), "OPENID_CONNECT".into());
    let template = json!({ "template": "${source.login}", "type": "BUILT_IN" });
    let client = json!({
        "autoKeyRotation": true, "client_id": id.as_str(), "token_endpoint_auth_method": "private_key_jwt",
    });
    body.insert(
        "credentials".to_owned(),
        json!({ "userNameTemplate": template, "signing": {}, "oauthClient": client }),
    );
    let mut settings = common_settings();
    settings["oauthClient"] = json!({
        "application_type": "service", "grant_types": ["client_credentials"],
        "response_types": ["token"], "dpop_bound_access_tokens": dpop,
    });
    body.insert("settings".to_owned(), settings);
    body
}

fn common_body(label: &str, name: &str, now: Stamp, hidden: bool) -> Map<String, Value> {
    let stamp = now.to_string();
    let link = format!("{name}_link");
    let parts = [
        ("name", json!(name)),
        ("label", json!(label)),
        ("status", json!("ACTIVE")),
        ("lastUpdated", json!(stamp)),
        ("created", json!(stamp)),
        ("accessibility", json!({ "selfService": false, "errorRedirectUrl": null, "loginRedirectUrl": null })),
        (
            "visibility",
            json!({
                "autoLaunch": false, "autoSubmitToolbar": false,
                "hide": { "iOS": hidden, "web": hidden }, "appLinks": { link: true },
            }),
        ),
        ("features", json!([])),
    ];
    parts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn common_settings() -> Value {
    json!({
        "app": {},
        "notifications": { "vpn": { "network": { "connection": "DISABLED" }, "message": null, "helpUrl": null } },
        "manualProvisioning": false,
        "implicitAssignment": false,
        "notes": { "admin": null, "enduser": null },
    })
}

fn saml_sign_on() -> Value {
    let acs = "https://teleport.example.com/v1/webapi/saml/acs/okta";
    let mut sign_on = json!({
        "ssoAcsUrl": acs, "audience": acs, "recipient": acs, "destination": acs,
        "defaultRelayState": "",
        "idpIssuer": "http://www.okta.com/${org.externalKey}",
        "subjectNameIdTemplate": "${user.userName}",
        "subjectNameIdFormat": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
        "authnContextClassRef": "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
        "signatureAlgorithm": "RSA_SHA256", "digestAlgorithm": "SHA256",
    });
    for (name, value) in [
        ("responseSigned", json!(true)),
        ("assertionSigned", json!(true)),
        ("honorForceAuthn", json!(true)),
        ("requestCompressed", json!(false)),
        ("allowMultipleAcsEndpoints", json!(false)),
        ("samlSignedRequestEnabled", json!(false)),
        ("slo", json!({ "enabled": false })),
        ("assertionEncryption", json!({ "enabled": false })),
        ("acsEndpoints", json!([])),
        ("attributeStatements", json!([])),
        ("inlineHooks", json!([])),
    ] {
        sign_on[name] = value;
    }
    sign_on
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_follow_the_apps_template() {
        let profile = json!({ "login": "zoe@example.com", "email": "z@mail.example.com", "nick": "zo" });
        let profile = profile.as_object().unwrap();
        assert_eq!(name_by_template("${source.login}", profile), "zoe@example.com");
        assert_eq!(name_by_template("${source.email}", profile), "z@mail.example.com");
        assert_eq!(name_by_template("${fn:substringBefore(source.login, \"@\")}", profile), "zoe");
        assert_eq!(name_by_template("String.toUpperCase(user.x)", profile), "zoe@example.com");
    }
}
