//! A look at the cluster before anything is begun: one line for each thing that can be wrong, with the command or the
//! YAML that mends it. It reads, and asks for no write: what may be written is read from our own roles.

mod connector;
mod permissions;

use engine::{
    cluster::OriginMode,
    failure::Failure,
    lock::lock_life,
    preflight::{Checklist, Line, Verdict},
    role::{self, Ceiling, Role},
};
use jiff::{SignedDuration, Timestamp};
use teleport_proto::auth;

use crate::{
    call::Call,
    client::TeleportClient,
    dial::Way,
    error::TeleportError,
    lines::{MADE_FOR, NEWEST_TESTED, OLDEST, major},
    permissions::NEEDED,
    web,
};

/// The way to the cluster.
pub const REACHABLE: &str = "reachable";
/// Our own certificate.
pub const CERTIFICATE: &str = "certificate";
/// Which cluster it is.
pub const CLUSTER: &str = "cluster";
/// Its version.
pub const VERSION: &str = "version";
/// Enterprise or Community.
pub const EDITION: &str = "edition";
/// How our users are marked.
pub const ORIGIN_MODE: &str = "origin-mode";
/// The roles that people are to get.
pub const ROLES: &str = "roles";
/// The SAML connector.
pub const CONNECTOR: &str = "connector";
/// How long a leaver's lock lasts.
pub const LOCK_LIFETIME: &str = "lock-lifetime";
/// Both clocks.
pub const CLOCK: &str = "clock";

/// The line of the one permission that connectors need.
const READ_CONNECTOR: &str = "saml:readnosecrets";

/// Clocks that differ by more seconds are worth telling.
const SKEW: i64 = 30;

/// What is meant to be done, so that only what that needs is judged.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    /// Name of the SAML connector.
    pub connector: &'a str,
    /// The Okta app, if the specification names it.
    pub app_id: Option<&'a str>,
    /// Whether it is the connector that has to name the app.
    pub app_from_connector: bool,
    /// Roles that everybody is to get.
    pub roles: &'a [String],
    /// Roles that may be given at all (P13).
    pub ceiling: &'a Ceiling,
    /// Added to the longest life of a credential.
    pub lock_margin: SignedDuration,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Preflight {
    /// The lines.
    pub lines: Vec<Line>,
    /// The Okta app that the connector names.
    pub connector_app: Option<String>,
}

fn checklist() -> Checklist {
    let of_calls = NEEDED.iter().filter_map(|call| call.rule());
    let permissions = of_calls.flat_map(|(kind, verbs)| verbs.iter().map(move |verb| format!("{kind}:{verb}")));
    let first = [REACHABLE, CERTIFICATE, CLUSTER, VERSION, EDITION, ORIGIN_MODE].map(str::to_owned);
    let last = [ROLES, CONNECTOR, LOCK_LIFETIME, CLOCK].map(str::to_owned);
    Checklist::new(first.into_iter().chain(permissions).chain(last))
}

/// The lines when there is no client at all, because of an address or an identity that cannot be used.
#[must_use]
pub fn without_client(failure: &Failure) -> Vec<Line> {
    let mut list = checklist();
    let of_address = matches!(failure.reason, "TeleportAddressMissing" | "TeleportAddressUnreadable");
    let line = if of_address { REACHABLE } else { CERTIFICATE };
    list.refuse(line, failure);
    list.finish(line)
}

impl TeleportClient {
    /// Looks at everything that a pass with this intent needs.
    pub async fn preflight(&self, intent: &Intent<'_>) -> Preflight {
        let web = Err("an Auth Service was asked".to_owned());
        let mut look = Look { client: self, intent, list: checklist(), web, connector_app: None };
        let failed = look.everything().await.err().unwrap_or_default();
        Preflight { lines: look.list.finish(failed), connector_app: look.connector_app }
    }
}

/// A look under way.
struct Look<'a> {
    client: &'a TeleportClient,
    intent: &'a Intent<'a>,
    list: Checklist,
    /// What the Proxy's web side told, or why it did not.
    web: Result<(web::Found, Option<Timestamp>), String>,
    connector_app: Option<String>,
}

/// `Err` names the line after whose failure nothing else can be judged.
type Going = Result<(), &'static str>;

impl Look<'_> {
    async fn everything(&mut self) -> Going {
        self.reach().await?;
        self.certificate().await?;
        self.origin_mode();
        let roles = self.permissions().await;
        self.roles(roles.as_deref());
        self.web(roles.as_deref());
        self.connector().await;
        Ok(())
    }

    /// A failure after which nothing else can be judged.
    fn end(&mut self, error: TeleportError) -> Going {
        let line = match &error {
            TeleportError::Identity(_)
            | TeleportError::IdentityRefused { .. }
            | TeleportError::IdentityGone { .. }
            | TeleportError::IdentityDiffers { .. }
            | TeleportError::Denied(_) => CERTIFICATE,
            _ => REACHABLE,
        };
        self.list.refuse(line, &error.into());
        Err(line)
    }

    /// The way there, and what anybody is told.
    async fn reach(&mut self) -> Going {
        let identity = self.client.identity();
        if let Err(error) = identity.check(Timestamp::now()) {
            return self.end(error.into());
        }
        let link = &self.client.link;
        let ping = link.read(Call::Ping, |mut stubs| async move { stubs.auth.ping(auth::PingRequest {}).await }).await;
        let ping = match ping {
            Ok(ping) => ping,
            Err(error) => return self.end(error.explain(Call::Ping, identity.user())),
        };
        // An Auth Service takes the form of the handshake that is meant for a Proxy as well; the web side tells them apart.
        let way = self.client.way();
        if matches!(way, Some(Way::Proxy | Way::Upgrade)) {
            self.web = web::find_with_time(&link.route()).await.map_err(|error| error.to_string());
        }
        let how = match way {
            Some(Way::Upgrade) => "through the Proxy behind a balancer, by a connection upgrade",
            Some(Way::Proxy) if self.web.is_ok() => "through the Proxy, which routes TLS",
            Some(Way::Proxy) => "at an Auth Service, or a Proxy that routes TLS",
            Some(Way::Auth | Way::Auto) | None => "straight at the Auth Service",
        };
        self.list.pass(REACHABLE, format!("{} answers, {how}", link.route().address));
        if ping.cluster_name == identity.cluster() {
            self.list.pass(CLUSTER, ping.cluster_name);
        } else {
            let found = format!("it is {}, but the identity is of {}", ping.cluster_name, identity.cluster());
            self.list.warn(CLUSTER, found, "give the identity and the address of one cluster");
        }
        self.version(&ping.server_version);
        Ok(())
    }

    fn version(&mut self, version: &str) {
        match major(version) {
            Some(major) if major < OLDEST => {
                let error = TeleportError::TooOld { version: version.to_owned(), oldest: OLDEST };
                self.list.refuse(VERSION, &error.into());
            }
            Some(major) if major < MADE_FOR => self.list.warn(
                VERSION,
                format!("{version}; it works as far as it goes"),
                format!("upgrade Teleport to {MADE_FOR} or newer"),
            ),
            Some(major) if major <= NEWEST_TESTED => self.list.pass(VERSION, version),
            _ => self.list.warn(
                VERSION,
                format!("{version} is newer than what was tested ({NEWEST_TESTED})"),
                "look whether there is a newer release of this program; nothing is known to be wrong",
            ),
        }
    }

    /// Our own certificate: who we are, until when, and that the server takes it.
    async fn certificate(&mut self) -> Going {
        let own = match self.client.prove().await {
            Ok(own) => own,
            Err(error) => return self.end(error),
        };
        let identity = self.client.identity();
        let left = identity.expires().duration_since(Timestamp::now());
        let life = identity.expires().duration_since(identity.from());
        let found = format!(
            "{own} with {}, until {:.0} ({} left)",
            identity.roles().join(", "),
            identity.expires(),
            in_words(left)
        );
        // A day before the end, or the last tenth of a short life.
        if left < SignedDuration::from_hours(24).min(life / 10) {
            self.list.warn(
                CERTIFICATE,
                found,
                "issue a new identity (tctl auth sign --format=file), or see why tbot no longer renews it",
            );
        } else {
            self.list.pass(CERTIFICATE, found);
        }
        Ok(())
    }

    fn origin_mode(&mut self) {
        let found = match self.client.identity().origin_mode() {
            OriginMode::Bot => "Bot: users carry our own labels",
            OriginMode::Okta => "Okta: users carry the origin of Teleport's own sync, and our labels",
        };
        self.list.pass(ORIGIN_MODE, found);
    }

    /// Roles that people are to get, and how long a lock has to last.
    fn roles(&mut self, roles: Option<&[Role]>) {
        let ceiling = self.intent.ceiling;
        let on_cluster = |name: &str| roles.and_then(|roles| roles.iter().find(|role| role.name == name));
        // What a role grants is known only where roles can be read and there is one of that name.
        let may = |name: &str| on_cluster(name).map_or_else(|| ceiling.may_allow(name), |role| ceiling.allows(role));
        let above: Vec<&str> = self.intent.roles.iter().map(String::as_str).filter(|name| !may(name)).collect();
        if !above.is_empty() {
            self.list.fail(
                ROLES,
                format!("users.roles names {}, but only these may be given: {}", above.join(", "), ceiling.words()),
                role::REMEDY,
            );
        }
        let Some(roles) = roles else {
            let why = self.unreadable_roles();
            if above.is_empty() {
                self.list.skip_after(ROLES, why);
            }
            return self.list.skip_after(LOCK_LIFETIME, why);
        };
        let missing: Vec<&str> =
            self.intent.roles.iter().map(String::as_str).filter(|wanted| on_cluster(wanted).is_none()).collect();
        if !missing.is_empty() {
            self.list.fail(
                ROLES,
                format!("the cluster has no role {}", missing.join(", ")),
                "make the role (tctl create -f role.yaml), or name another in users.roles; okta-requester exists on \
                 Enterprise clusters only",
            );
        } else if above.is_empty() {
            self.list.pass(ROLES, format!("{}: there, and may be given", self.intent.roles.join(", ")));
        }
        match lock_life(roles, self.intent.lock_margin) {
            Ok(life) => self.list.pass(
                LOCK_LIFETIME,
                format!(
                    "{}: the longest life of a credential here, and a margin of {}",
                    in_words(life),
                    in_words(self.intent.lock_margin)
                ),
            ),
            Err(failure) => self.list.refuse(LOCK_LIFETIME, &failure),
        }
    }

    /// What only a Proxy's web side tells: the edition (else a role tells it), and the time.
    fn web(&mut self, roles: Option<&[Role]>) {
        match self.web.clone() {
            Ok((found, time)) => {
                let edition = match found.edition.as_str() {
                    "ent" => "Enterprise".to_owned(),
                    "oss" | "community" => "Community: no SAML connectors, no role okta-requester".to_owned(),
                    other => format!("{other:?}"),
                };
                self.list.pass(EDITION, edition);
                match time {
                    Some(time) => self.clock(time.duration_since(Timestamp::now()).as_secs()),
                    None => self.list.skip(CLOCK, "the Proxy does not tell its time"),
                }
            }
            Err(why) => {
                if roles.is_some_and(|roles| roles.iter().any(|role| role.name == "okta-requester")) {
                    self.list.pass(EDITION, "Enterprise (it has the role okta-requester)");
                } else {
                    self.list.skip(EDITION, format!("there is no role okta-requester, and no Proxy tells it: {why}"));
                }
                self.list.skip(CLOCK, format!("no Proxy tells the time: {why}"));
            }
        }
    }

    /// `offset`: seconds that Teleport's clock is ahead of ours. Locks end by our clock and are enforced by Teleport's.
    fn clock(&mut self, offset: i64) {
        let direction = if offset > 0 { "behind" } else { "ahead of" };
        let found = format!("this machine's clock is {} s {direction} Teleport's", offset.abs());
        let remedy = "let this node and Teleport's synchronise their time (NTP)";
        if offset.abs() <= SKEW {
            self.list.pass(CLOCK, format!("agrees with Teleport's ({offset} s)"));
        } else if offset >= self.intent.lock_margin.as_secs() {
            self.list.fail(CLOCK, format!("{found}, so locks would end too early"), remedy);
        } else {
            self.list.warn(CLOCK, found, remedy);
        }
    }

    /// The line that stands against reading roles.
    fn unreadable_roles(&self) -> &'static str {
        if self.list.verdict("role:list") == Some(Verdict::Failed) { "role:list" } else { "role:read" }
    }
}

/// A span of time in its largest whole unit and the next.
fn in_words(span: SignedDuration) -> String {
    let minutes = span.as_mins();
    match (minutes / 1440, minutes / 60, minutes % 60) {
        (days, ..) if days > 7 => format!("{days} days"),
        (_, 0, minutes) => format!("{minutes}min"),
        (_, hours, 0) => format!("{hours}h"),
        (_, hours, minutes) => format!("{hours}h {minutes}min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_words() {
        for (minutes, words) in [
            (5, "5min"),
            (60, "1h"),
            (31 * 60, "31h"),
            (90, "1h 30min"),
            (101 * 60, "101h"),
            (90 * 1440 + 7, "90 days"),
        ] {
            assert_eq!(in_words(SignedDuration::from_mins(minutes)), words);
        }
    }

    #[test]
    fn every_permission_has_a_line_of_its_own() {
        let lines = checklist().finish("");
        let permissions = lines.iter().filter(|line| line.name.contains(':')).count();
        assert_eq!(permissions, 13, "{lines:?}");
        let mut names: Vec<_> = lines.iter().map(|line| &line.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), lines.len());
    }
}
