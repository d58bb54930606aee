//! What is learned of an organisation before its people are read.

use engine::directory::App;
use serde::Deserialize;

use crate::{error::OktaError, http::Target, scope::Scope, session::Session};

/// A clock that differs by more than this many seconds is worth telling, although it is corrected for.
pub(crate) const SKEW: i64 = 30;

/// The `NameID` that user names are compared with.
pub(crate) const NAME_ID: &str = "${user.userName}";

/// `/.well-known/okta-organization`.
#[derive(Deserialize)]
struct WellKnown {
    id: String,
}

/// An app, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppAnswer {
    id: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    sign_on_mode: Option<String>,
    #[serde(default)]
    settings: Option<AppSettings>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AppSettings {
    #[serde(default)]
    sign_on: Option<SignOn>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignOn {
    #[serde(default)]
    subject_name_id_template: Option<String>,
}

impl Session {
    /// The organisation's id (`00o…`). The first call of all, and without a credential: it proves that something which
    /// calls itself Okta answers, and tells its time, before an assertion is made.
    pub(crate) async fn organisation_id(&self) -> Result<String, OktaError> {
        let host = self.wire.http.org().host().to_owned();
        let target = Target::new(&[".well-known", "okta-organization"])?;
        match self.get_public::<WellKnown>(&target).await {
            Ok(WellKnown { id }) if !id.is_empty() => Ok(id),
            Ok(_) => Err(OktaError::NotOkta { host, cause: "it does not say its id".to_owned() }),
            Err(error @ (OktaError::NotJson { .. } | OktaError::Unexpected { .. })) => {
                Err(OktaError::NotOkta { host, cause: error.to_string() })
            }
            Err(OktaError::Refused(refusal)) if (400..500).contains(&refusal.status) && refusal.status != 429 => {
                Err(OktaError::NotOkta { host, cause: refusal.to_string() })
            }
            Err(error) => Err(error),
        }
    }

    /// The app that people come from.
    pub(crate) async fn app(&self, id: &str, client_id: &str) -> Result<AppAnswer, OktaError> {
        let target = Target::new(&["api", "v1", "apps", id])?;
        let needs = [Scope::Apps, Scope::Users];
        let app = match self.get::<AppAnswer>(&target, &needs).await {
            Ok(app) => app,
            Err(OktaError::Refused(refusal)) if id == client_id && matches!(refusal.status, 403 | 404) => {
                return Err(OktaError::AppIsClient(id.to_owned()));
            }
            Err(OktaError::Refused(refusal)) if refusal.is_not_found() => {
                return Err(OktaError::AppNotFound(id.to_owned()));
            }
            Err(error) => return Err(error),
        };
        if id == client_id {
            return Err(OktaError::AppIsClient(id.to_owned()));
        }
        match app.sign_on_mode.as_deref() {
            Some("OPENID_CONNECT") => Err(OktaError::AppNotSaml {
                id: app.id,
                label: app.label.unwrap_or_default(),
                mode: "OPENID_CONNECT".to_owned(),
            }),
            _ => Ok(app),
        }
    }
}

impl AppAnswer {
    /// The template of the app's `NameID`, where Okta tells it.
    pub(crate) fn name_id(&self) -> Option<&str> {
        self.settings.as_ref()?.sign_on.as_ref()?.subject_name_id_template.as_deref()
    }

    /// The engine's noun, and what is worth telling.
    pub(crate) fn into_app(self) -> (App, Vec<String>) {
        let mut warnings = Vec::new();
        let mode = self.sign_on_mode.unwrap_or_default();
        if mode != "SAML_2_0" {
            warnings.push(format!("the app's sign-on mode is {mode:?}, not SAML_2_0"));
        }
        let sign_on = self.settings.and_then(|settings| settings.sign_on);
        if let Some(template) = sign_on.and_then(|sign_on| sign_on.subject_name_id_template)
            && template != NAME_ID
        {
            warnings.push(format!(
                "the app's NameID is {template}, not {NAME_ID}: people will sign in under other names than their users have. \
                 Set \"Name ID\" / \"Application username\" accordingly in the app's SAML settings."
            ));
        }
        let app = App {
            id: self.id,
            label: self.label.unwrap_or_default(),
            status: self.status.unwrap_or_default(),
            sign_on_mode: mode,
        };
        (app, warnings)
    }
}

/// What is worth telling of token and clock.
pub(crate) fn warnings(scopes: &[String], offset: i64) -> Vec<String> {
    let mut warnings: Vec<String> = scopes
        .iter()
        .filter(|scope| scope.ends_with(".manage"))
        .map(|scope| {
            format!(
                "the app was granted {scope}, which this program does not need; revoke it under Applications > your API \
                 Services app > Okta API Scopes"
            )
        })
        .collect();
    if offset.abs() > SKEW {
        let direction = if offset > 0 { "behind" } else { "ahead of" };
        warnings.push(format!(
            "this machine's clock is {} s {direction} Okta's; it is corrected for, but the node's time needs attention",
            offset.abs()
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(json: &str) -> (App, Vec<String>) {
        serde_json::from_str::<AppAnswer>(json).unwrap().into_app()
    }

    #[test]
    fn another_name_id_or_sign_on_mode_is_told() {
        let (found, told) = app(r#"{"id":"0oa1","label":"T","status":"ACTIVE","signOnMode":"SAML_2_0",
            "settings":{"app":{},"signOn":{"subjectNameIdTemplate":"${user.userName}"}}}"#);
        assert_eq!((found.label.as_str(), found.status.as_str()), ("T", "ACTIVE"));
        assert!(told.is_empty());
        let (_, told) = app(
            r#"{"id":"0oa1","signOnMode":"SAML_2_0","settings":{"signOn":{"subjectNameIdTemplate":"${source.login}"}}}"#,
        );
        assert!(told[0].contains("${source.login}"), "{told:?}");
        let (_, told) = app(r#"{"id":"0oa1","signOnMode":"BOOKMARK","settings":{"signOn":null}}"#);
        assert!(told[0].contains("BOOKMARK"), "{told:?}");
    }

    #[test]
    fn write_scopes_and_clock_skew_are_told() {
        assert!(warnings(&["okta.apps.read".to_owned()], 30).is_empty());
        let told = warnings(&["okta.users.manage".to_owned()], -600);
        assert!(told[0].contains("okta.users.manage") && told[1].contains("600 s ahead of"), "{told:?}");
        assert!(warnings(&[], 31)[0].contains("31 s behind"));
    }
}
