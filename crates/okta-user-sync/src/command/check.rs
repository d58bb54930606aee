//! `okta-user-sync check`: a look at everything that a pass needs, on both sides, line by line, without a write.

use std::fmt::Write as _;

use api::OktaUserSync;
use api::spec::{FastPath, SecretKeyRef, Source};
use clap::Args;
use engine::directory::PeopleSource;
use engine::preflight::{Line, Verdict};
use jiff::SignedDuration;
use kube::ResourceExt as _;
use operator::resolve::{Resolver, Subject};
use operator::secrets::Secrets;
use serde::Serialize;
use teleport::preflight::Preflight;

use super::subject::{Found, SubjectArguments};
use super::sync::{Format, OktaArguments, TeleportArguments, defaults};
use crate::exit::{Exit, Stop};
use crate::terminal;

/// Shown below `check --help`.
pub const EXAMPLES: &str = "\
Examples:
  okta-user-sync check -f acme.yaml --okta-key key.pem --teleport-identity identity
  okta-user-sync check -f acme.yaml --known alice@example.com      # fails unless Okta shows alice
  okta-user-sync check --from-cluster okta-user-sync/acme --context production
  okta-user-sync check -f acme.yaml -o json | jq -r '.lines[] | select(.verdict == \"Failed\") | .remedy'

Each line passed, warned (stops nothing), failed (with what mends it), or was skipped (with the reason).
Nothing is written: Okta gets GETs and requests for a token, Teleport calls that read.

Exit codes: 0 no line failed; 1 a line failed; 2 bad input, nothing was tried.";

/// What the command takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Somebody who belongs for sure, by user name or Okta id: must be seen [default: anybody].
    #[arg(long, value_name = "NAME-OR-ID")]
    known: Option<String>,
    /// How the lines are written to standard output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    subject: SubjectArguments,
}

/// What was looked at, for programs. Its fields stay; new ones may come.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// `namespace/name`.
    resource: String,
    /// Whether no line failed.
    pub ok: bool,
    passed: usize,
    warned: usize,
    failed: usize,
    skipped: usize,
    /// The lines.
    pub lines: Vec<ToldLine>,
}

/// A line and the side that it speaks of.
#[derive(Clone, Debug, Serialize)]
pub struct ToldLine {
    /// `Okta` or `Teleport`.
    side: &'static str,
    /// The line itself.
    #[serde(flatten)]
    pub line: Line,
}

impl Told {
    fn new(resource: String, okta: Vec<Line>, teleport: Vec<Line>) -> Self {
        let of = |side, lines: Vec<Line>| lines.into_iter().map(move |line| ToldLine { side, line });
        let lines: Vec<ToldLine> = of("Okta", okta).chain(of("Teleport", teleport)).collect();
        let count = |verdict| lines.iter().filter(|told| told.line.verdict == verdict).count();
        let failed = count(Verdict::Failed);
        Self {
            resource,
            ok: failed == 0,
            passed: count(Verdict::Passed),
            warned: count(Verdict::Warned),
            failed,
            skipped: count(Verdict::Skipped),
            lines,
        }
    }
}

impl Told {
    /// The same for Teleport alone, where Okta cannot be asked yet.
    pub fn of_teleport(self) -> Self {
        let of =
            |side: &str| self.lines.iter().filter(|told| told.side == side).map(|told| told.line.clone()).collect();
        Self::new(self.resource.clone(), Vec::new(), of("Teleport"))
    }
}

/// Looks, and prints what was found.
///
/// # Errors
/// Bad input. What is wrong on either side is a line.
pub async fn run(arguments: Arguments) -> Result<Exit, Stop> {
    let Arguments { subject, known, .. } = &arguments;
    let look = Look { okta: &subject.okta, teleport: &subject.teleport, known: known.as_deref() };
    let Found { resource, own_key, secrets } = subject.find().await?;
    let told = look.at(&resource, own_key, &secrets).await?;
    match arguments.output {
        Format::Table => terminal::print(&text(&told))?,
        Format::Json => terminal::print_json(&told)?,
        Format::Yaml => terminal::print_yaml(&told)?,
    }
    Ok(if told.ok { Exit::Done } else { Exit::Undone })
}

/// What is given beside the resource.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// For Okta.
    pub okta: &'a OktaArguments,
    /// For Teleport.
    pub teleport: &'a TeleportArguments,
    /// Somebody who belongs for sure.
    pub known: Option<&'a str>,
}

impl Look<'_> {
    /// Looks at both sides with what `resource` says; `own_key` is where the key lies that an operator has made for it.
    ///
    /// # Errors
    /// A file, a pattern or a filter that cannot be read.
    pub async fn at(
        &self,
        resource: &OktaUserSync,
        own_key: Option<SecretKeyRef>,
        secrets: &impl Secrets,
    ) -> Result<Told, Stop> {
        let defaults = defaults(self.okta, self.teleport)?;
        let ceiling = defaults.ceiling.clone();
        let resolver = Resolver::new(defaults);
        let (namespace, name) = (resource.namespace().unwrap_or_default(), resource.name_any());
        let subject =
            Subject { namespace: &namespace, name: &name, spec: &resource.spec, own_key, approvals: Vec::new() };
        // A role above the ceiling is a line of its own; the rest is bad input.
        if let Err(failure) = resolver.policy(&subject)
            && failure.reason != "RoleAboveCeiling"
        {
            return Err(failure.into());
        }
        // Teleport first: its connector may be what names the app.
        let spec = &resource.spec;
        let app_id = spec.scope.app_id.as_deref();
        let cluster = match resolver.for_cleanup(&subject, secrets, None).await {
            Ok(client) => {
                let intent = teleport::preflight::Intent {
                    connector: &spec.teleport.connector,
                    app_id,
                    app_from_connector: spec.scope.source == Source::App && app_id.is_none(),
                    roles: &spec.users.roles,
                    ceiling: &ceiling,
                    lock_margin: SignedDuration::try_from(std::time::Duration::from(spec.removal.lock_margin))
                        .unwrap_or(SignedDuration::from_hours(1)),
                };
                client.preflight(&intent).await
            }
            Err(failure) => Preflight { lines: teleport::preflight::without_client(&failure), connector_app: None },
        };
        let intent = okta::preflight::Intent {
            source: source(resource, &cluster),
            groups: &spec.scope.groups,
            known: self.known,
            pinned_org: resource.status.as_ref().and_then(|status| status.okta.as_ref()).map_or("", |o| &o.org_id),
            fast_path: match spec.okta.fast_path {
                FastPath::Auto => okta::preflight::FastPath::IfGranted,
                FastPath::Required => okta::preflight::FastPath::Required,
                FastPath::Disabled => okta::preflight::FastPath::Off,
            },
        };
        let directory = match resolver.okta_alone(&subject, secrets).await {
            Ok(client) => client.preflight(&intent).await,
            Err(failure) => intent.without_client(&failure),
        };
        Ok(Told::new(format!("{namespace}/{name}"), directory, cluster.lines))
    }
}

/// Where people come from, or the line that says why that is not known.
fn source(resource: &OktaUserSync, cluster: &Preflight) -> Result<PeopleSource, Line> {
    let scope = &resource.spec.scope;
    let app = match scope.source {
        Source::Org => return Ok(PeopleSource::Org),
        Source::Groups => return Ok(PeopleSource::Groups(scope.groups.clone())),
        Source::App => scope.app_id.clone().or_else(|| cluster.connector_app.clone()),
    };
    app.map(PeopleSource::App).ok_or_else(|| {
        let connector = cluster.lines.iter().find(|line| line.name == teleport::preflight::CONNECTOR);
        let seen = connector.is_some_and(|line| line.verdict == Verdict::Passed);
        let (verdict, found, remedy) = if seen {
            (
                Verdict::Failed,
                "scope.appID is not set, and Teleport's connector does not name an Okta app",
                "Set scope.appID to the id (0oa…) of the SAML app that the connector belongs to.",
            )
        } else {
            let found = "not judged, because scope.appID is not set and Teleport's connector, which may name the app, \
                         was not seen";
            (Verdict::Skipped, found, "")
        };
        Line { name: okta::preflight::APP.to_owned(), verdict, found: found.to_owned(), remedy: remedy.to_owned() }
    })
}

/// The lines for people.
pub fn text(told: &Told) -> String {
    let mut text = format!(
        "{}: {} passed, {} warned, {} failed, {} skipped\n",
        told.resource, told.passed, told.warned, told.failed, told.skipped
    );
    let mut side = "";
    for ToldLine { side: of, line } in &told.lines {
        if side != *of {
            side = of;
            let _ = writeln!(text, "\n{}", terminal::heading(side));
        }
        let verdict = verdict(line.verdict);
        let _ = writeln!(text, "  {verdict} {:<19} {}", line.name, line.found);
        if !line.remedy.is_empty() {
            let _ = writeln!(text, "  {:<7} {:<19} remedy: {}", "", "", line.remedy);
        }
    }
    text
}

fn verdict(verdict: Verdict) -> String {
    let (word, colour) = match verdict {
        Verdict::Passed => ("passed", terminal::Colour::Good),
        Verdict::Warned => ("warned", terminal::Colour::Doubtful),
        Verdict::Failed => ("failed", terminal::Colour::Bad),
        Verdict::Skipped => ("skipped", terminal::Colour::Faint),
    };
    terminal::coloured(&format!("{word:<7}"), colour)
}
