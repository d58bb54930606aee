//! A look at the organisation before anything is begun: one line for each thing that can be wrong, with the remedy in
//! the words of Okta's admin console. It makes the calls that a pass makes, for one person, and no other.

mod people;

use std::time::Duration;

use engine::{
    directory::PeopleSource,
    failure::Failure,
    preflight::{Checklist, Line, Verdict},
};

use crate::{
    client::OktaClient,
    error::OktaError,
    governor::{self, Bucket, BucketView, Turn},
    http::Target,
    organisation::{NAME_ID, SKEW},
    scope::Scope,
    token::Token,
};

/// The way to the organisation.
pub const REACHABLE: &str = "reachable";
/// Which organisation it is.
pub const ORGANISATION: &str = "organisation";
/// Both clocks.
pub const CLOCK: &str = "clock";
/// Client, key and algorithm.
pub const TOKEN: &str = "token";
/// Proof of possession.
pub const DPOP: &str = "dpop";
/// What was granted.
pub const SCOPES: &str = "scopes";
/// The System Log.
pub const FAST_PATH: &str = "fast-path";
/// The groups that are named.
pub const GROUPS: &str = "groups";
/// The SAML app.
pub const APP: &str = "app";
/// Under which names people sign in.
pub const NAME_ID_LINE: &str = "name-id";
/// Whether anybody is seen.
pub const PEOPLE: &str = "people";
/// What Okta allows.
pub const RATE_LIMITS: &str = "rate-limits";

/// The reason of refusals for want of an admin role.
const NO_ROLE: &str = "AdminRoleMissing";

/// Whether the System Log is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastPath {
    /// It must be.
    Required,
    /// If the scope is granted.
    IfGranted,
    /// It is not.
    Off,
}

/// What is meant to be done, so that only what that needs is judged.
#[derive(Clone, Debug)]
pub struct Intent<'a> {
    /// Where people come from; else the line that stands in the app's place, because nobody says which app it is.
    pub source: Result<PeopleSource, Line>,
    /// Groups (ids or exact names) that are the source or narrow it.
    pub groups: &'a [String],
    /// Somebody who is known to belong, by Okta id or user name.
    pub known: Option<&'a str>,
    /// Id of the organisation that was seen first; empty when none was.
    pub pinned_org: &'a str,
    /// Whether the System Log is to be read.
    pub fast_path: FastPath,
}

impl Intent<'_> {
    fn checklist(&self) -> Checklist {
        let from_app = !matches!(self.source, Ok(PeopleSource::Groups(_) | PeopleSource::Org));
        let of_app = if from_app { &[APP, NAME_ID_LINE][..] } else { &[] };
        let of_groups = if self.groups.is_empty() { &[][..] } else { &[GROUPS] };
        let first = [REACHABLE, ORGANISATION, CLOCK, TOKEN, DPOP, SCOPES];
        let last = [PEOPLE, RATE_LIMITS, FAST_PATH];
        Checklist::new(first.iter().chain(of_app).chain(of_groups).chain(&last).copied())
    }

    /// What a pass cannot do without.
    fn needs(&self) -> Vec<Scope> {
        let mut needs = match &self.source {
            Ok(PeopleSource::Groups(_)) => vec![Scope::Groups, Scope::Users],
            Ok(PeopleSource::Org) => vec![Scope::Users],
            Ok(PeopleSource::App(_)) | Err(_) => vec![Scope::Apps, Scope::Users],
        };
        if !self.groups.is_empty() && !needs.contains(&Scope::Groups) {
            needs.push(Scope::Groups);
        }
        needs
    }

    /// The lines when there is no client at all, because of a setting or a key that cannot be used.
    #[must_use]
    pub fn without_client(&self, failure: &Failure) -> Vec<Line> {
        let mut list = self.checklist();
        let line = if failure.reason == "OrgUrlInvalid" { REACHABLE } else { TOKEN };
        list.refuse(line, failure);
        list.finish(line)
    }
}

impl OktaClient {
    /// Looks at everything that a pass with this intent needs.
    pub async fn preflight(&self, intent: &Intent<'_>) -> Vec<Line> {
        let mut look = Look { client: self, intent, list: intent.checklist(), no_role_for_log: false };
        let failed = look.everything().await.err().unwrap_or_default();
        look.rate_limits(failed.is_empty());
        look.list.finish(failed)
    }
}

/// A look under way.
struct Look<'a> {
    client: &'a OktaClient,
    intent: &'a Intent<'a>,
    list: Checklist,
    /// The System Log was refused for want of an admin role.
    no_role_for_log: bool,
}

/// `Err` names the line after whose failure nothing else can be judged.
type Going = Result<(), &'static str>;

impl Look<'_> {
    async fn everything(&mut self) -> Going {
        self.organisation().await?;
        let token = self.token().await?;
        let enough = self.scopes(&token);
        self.fast_path(&token).await;
        if !enough {
            return Err(SCOPES);
        }
        self.groups().await;
        self.app().await?;
        self.people().await;
        Ok(())
    }

    async fn organisation(&mut self) -> Going {
        let session = &self.client.session;
        let id = match session.organisation_id().await {
            Ok(id) => id,
            Err(error) => {
                self.list.refuse(REACHABLE, &error.into());
                return Err(REACHABLE);
            }
        };
        self.list.pass(REACHABLE, format!("{} answers as an Okta organisation", session.wire.http.org()));
        let offset = session.wire.clock.offset();
        if offset.abs() > SKEW {
            let direction = if offset > 0 { "behind" } else { "ahead of" };
            self.list.warn(
                CLOCK,
                format!("this machine's clock is {} s {direction} Okta's; it is corrected for", offset.abs()),
                "let the node synchronise its time (NTP)",
            );
        } else {
            self.list.pass(CLOCK, format!("agrees with Okta's ({offset} s)"));
        }
        if self.intent.pinned_org.is_empty() || self.intent.pinned_org == id {
            self.list.pass(ORGANISATION, id);
            return Ok(());
        }
        self.list.fail(
            ORGANISATION,
            format!("it is {id}, but at first it was {}", self.intent.pinned_org),
            "restore spec.okta.orgURL; for another organisation make another resource",
        );
        Err(ORGANISATION)
    }

    async fn token(&mut self) -> Result<std::sync::Arc<Token>, &'static str> {
        let session = &self.client.session;
        let mut wanted = self.intent.needs();
        if self.intent.fast_path != FastPath::Off {
            wanted.push(Scope::Logs);
        }
        match session.tokens.granted(&session.wire, &wanted, &mut Duration::default()).await {
            Ok(token) => {
                let (key, client) = (session.tokens.key(), &self.client.client_id);
                self.list.pass(
                    TOKEN,
                    format!("given to {client}, proved with {} by the key {}", key.algorithm(), key.kid()),
                );
                let bound = if token.bound {
                    "the token is bound to a key of this process"
                } else {
                    "Okta does not demand it of this app"
                };
                self.list.pass(DPOP, bound);
                Ok(token)
            }
            Err(error) => {
                let failure = Failure::from(error);
                let line = line_of(failure.reason);
                self.list.refuse(line, &failure);
                Err(line)
            }
        }
    }

    /// Whether there are enough.
    fn scopes(&mut self, token: &Token) -> bool {
        let missing: Vec<&str> = self
            .intent
            .needs()
            .into_iter()
            .filter(|scope| token.lacks(&[*scope]).is_some())
            .map(Scope::as_str)
            .collect();
        let granted = token.scopes.join(", ");
        let more: Vec<&str> =
            token.scopes.iter().filter(|scope| scope.ends_with(".manage")).map(String::as_str).collect();
        if !missing.is_empty() {
            self.list.fail(
                SCOPES,
                format!("missing: {}; granted: {granted}", missing.join(", ")),
                scope_remedy("grant", &missing.join(" and ")),
            );
        } else if !more.is_empty() {
            self.list.warn(
                SCOPES,
                format!("granted: {granted}; nothing is ever written to Okta, so {} are too many", more.join(", ")),
                scope_remedy("revoke", &more.join(" and ")),
            );
        } else {
            self.list.pass(SCOPES, format!("granted: {granted}"));
        }
        missing.is_empty()
    }

    async fn fast_path(&mut self, token: &Token) {
        let without = "changes are noticed at each full pass alone";
        let (found, remedy) = if self.intent.fast_path == FastPath::Off {
            return self.list.skip(FAST_PATH, format!("okta.fastPath is Disabled: {without}"));
        } else if token.lacks(&[Scope::Logs]).is_some() {
            let scope = Scope::Logs.as_str();
            (format!("{scope} is not granted: {without}"), scope_remedy("grant", scope))
        } else {
            match self.newest_event().await {
                Ok(()) => return self.list.pass(FAST_PATH, "the System Log can be read"),
                Err(error) => {
                    let failure = Failure::from(error);
                    self.no_role_for_log = failure.reason == NO_ROLE;
                    (format!("{}: {without}", failure.message), failure.remedy)
                }
            }
        };
        match self.intent.fast_path {
            FastPath::Required => self.list.fail(FAST_PATH, found, remedy),
            FastPath::IfGranted | FastPath::Off => self.list.warn(FAST_PATH, found, remedy),
        }
    }

    async fn newest_event(&self) -> Result<(), OktaError> {
        let target = Target::new(&["api", "v1", "logs"])?.with(&[("limit", "1"), ("sortOrder", "DESCENDING")]);
        self.client.session.get::<Vec<serde::de::IgnoredAny>>(&target, &[Scope::Logs]).await.map(drop)
    }

    async fn groups(&mut self) {
        let named = self.intent.groups;
        if named.is_empty() {
            return;
        }
        match self.client.session.group_ids(named).await {
            Ok(ids) => self.list.pass(GROUPS, format!("all found: {}", ids.join(", "))),
            Err(error) => self.list.refuse(GROUPS, &error.into()),
        }
    }

    async fn app(&mut self) -> Going {
        let id = match &self.intent.source {
            Ok(PeopleSource::App(id)) => id,
            Ok(_) => return Ok(()),
            Err(line) => {
                match line.verdict {
                    Verdict::Skipped => self.list.skip(APP, line.found.clone()),
                    _ => self.list.fail(APP, line.found.clone(), line.remedy.clone()),
                }
                return Err(APP);
            }
        };
        let answer = match self.client.session.app(id, &self.client.client_id).await {
            Ok(answer) => answer,
            Err(error) => {
                if self.no_role_for_log && error.reason() == NO_ROLE {
                    // One role is missing for both.
                    self.list.skip_after(FAST_PATH, APP);
                }
                self.list.refuse(APP, &error.into());
                return Err(APP);
            }
        };
        self.name_id(answer.name_id());
        let (app, _) = answer.into_app();
        let named = format!("{} ({})", app.label, app.id);
        if app.status != "ACTIVE" {
            self.list.fail(
                APP,
                format!("{named} is {}", app.status),
                format!("Activate it under Applications > Applications > {} > Active/Inactive.", app.label),
            );
        } else if app.sign_on_mode == "SAML_2_0" {
            self.list.pass(APP, format!("{named}, active, SAML 2.0"));
        } else {
            self.list.warn(
                APP,
                format!("{named} has the sign-on mode {}, not SAML_2_0", app.sign_on_mode),
                "Name the SAML app that people use to sign in to Teleport (0oa… in the address bar of its page).",
            );
        }
        Ok(())
    }

    fn name_id(&mut self, template: Option<&str>) {
        match template {
            Some(NAME_ID) => self.list.pass(NAME_ID_LINE, NAME_ID),
            None => self.list.pass(NAME_ID_LINE, "Okta does not tell the template of this kind of app"),
            Some(other) => self.list.warn(
                NAME_ID_LINE,
                format!("{other}, not {NAME_ID}: people sign in under other names than their users have"),
                format!("Set Applications > the SAML app > Sign On > SAML settings > Name ID to {NAME_ID}."),
            ),
        }
    }

    /// What was seen of Okta's limits in the calls so far; `all` were made.
    fn rate_limits(&mut self, all: bool) {
        let wire = &self.client.session.wire;
        let seen: Vec<BucketView> = wire.governor().view().into_iter().filter(|view| view.limit.is_some()).collect();
        let mut words: Vec<String> = seen
            .iter()
            .map(|view| {
                let left = view.remaining.map(|left| format!(", {left} left")).unwrap_or_default();
                format!("{} {}/min{left}", view.bucket, view.limit.unwrap_or_default())
            })
            .collect();
        let (bucket, turn, page) = match &self.intent.source {
            Ok(PeopleSource::Groups(_)) => (Bucket::Groups, Turn::Ahead, 200),
            Ok(PeopleSource::Org) => (Bucket::Users, Turn::Page, 200),
            Ok(PeopleSource::App(_)) | Err(_) => (Bucket::Apps, Turn::Page, 500),
        };
        if let Some(limit) = seen.iter().find(|view| view.bucket == bucket).and_then(|view| view.limit) {
            let people = u64::from(governor::pages(limit, wire.percent(), turn)) * page;
            words.push(format!("a share of {} % reads {people} people a minute", wire.percent()));
        }
        if seen.iter().any(|view| view.refusals > 0) {
            self.list.warn(
                RATE_LIMITS,
                format!("Okta refused calls (429); {}", words.join("; ")),
                "See Reports > Rate Limits for who uses them up; Applications > your API Services app > Application rate \
                 limits sets this app's share.",
            );
        } else if words.is_empty() && all {
            self.list.skip(RATE_LIMITS, "no answer named a limit");
        } else if !words.is_empty() {
            self.list.pass(RATE_LIMITS, words.join("; "));
        }
    }
}

/// The line that speaks of a refusal of the token endpoint.
fn line_of(reason: &str) -> &'static str {
    match reason {
        "ClockSkew" => CLOCK,
        "DpopDemanded" | "DpopNotGiven" | "DpopRefused" => DPOP,
        "ScopesNotGranted" => SCOPES,
        _ => TOKEN,
    }
}

fn scope_remedy(verb: &str, scopes: &str) -> String {
    format!(
        "In the Admin Console open Applications > Applications > your API Services app > Okta API Scopes and {verb} {scopes}."
    )
}
