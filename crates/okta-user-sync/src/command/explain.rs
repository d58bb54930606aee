//! `okta-user-sync explain`: one person, explained, from manifests in a file or from a resource in the cluster.

use std::{fmt::Write as _, time::Duration};

use clap::Args;
use engine::explain::Explanation;
use engine::ledger::Ledger;
use engine::pass::Pass;
use jiff::Timestamp;
use kube::ResourceExt as _;
use operator::resolve::{Resolver, Subject};

use super::subject::{Found, SubjectArguments};
use super::sync::{Format, defaults};
use crate::exit::{Exit, Stop};
use crate::terminal;

/// Shown below `explain --help`.
pub const EXAMPLES: &str = "\
Examples:
  okta-user-sync explain alice@example.com -f acme.yaml
  okta-user-sync explain 00u1abcd2efgh3ijkl45 -f acme.yaml -o json
  okta-user-sync explain alice@example.com --from-cluster okta-user-sync/acme --context production

Says what Okta says, what Teleport holds, which rule decided, what the next pass will do, and what would change it.
Reads both sides as a pass does, and writes nothing.

Exit codes: 0 explained; 1 something could not be read; 2 bad input.";

/// What the command takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The person: a user name, or an Okta id (00u…).
    #[arg(value_name = "NAME-OR-ID")]
    who: String,
    /// How the explanation is written to standard output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    subject: SubjectArguments,
}

/// Explains one person.
///
/// # Errors
/// Bad input, or either side could not be read.
pub async fn run(arguments: Arguments) -> Result<Exit, Stop> {
    let found = arguments.subject.find().await?;
    let told = Box::pin(explain(&arguments, found)).await?;
    match arguments.output {
        Format::Table => terminal::print(&text(&told))?,
        Format::Json => terminal::print_json(&told)?,
        Format::Yaml => terminal::print_yaml(&told)?,
    }
    Ok(Exit::Done)
}

async fn explain(arguments: &Arguments, found: Found) -> Result<Explanation, Stop> {
    let Found { resource, own_key, secrets } = found;
    let resolver = Resolver::new(defaults(&arguments.subject.okta, &arguments.subject.teleport)?);
    let (namespace, name) = (resource.namespace().unwrap_or_default(), resource.name_any());
    let subject = Subject { namespace: &namespace, name: &name, spec: &resource.spec, own_key, approvals: Vec::new() };
    let policy = resolver.policy(&subject)?;
    let material = resolver.read(&subject, &secrets).await?;
    let clients = resolver.clients(&subject, &material, None)?;
    let status = resource.status.clone().unwrap_or_default();
    let pinned_org = status.okta.map(|okta| okta.org_id).unwrap_or_default();
    let pass = Pass {
        policy: &policy,
        memory: status.memory.unwrap_or_default(),
        pending: status.pending_plan.map(|plan| *plan),
        pinned_org: &pinned_org,
        ledger: &Ledger::default(),
        started: Timestamp::now(),
        list_age: Duration::ZERO,
        id: "explain".to_owned(),
        may_write: &|| false,
        detail: false,
        progress: &|_| {},
        journal: &(),
    };
    pass.explain(clients.okta(), clients.teleport().as_ref(), &arguments.who).await.map_err(Stop::from)
}

/// The explanation for people: one heading a question.
fn text(told: &Explanation) -> String {
    let mut text =
        format!("{} ({})\n", or_unknown(&told.user, "no user name"), or_unknown(&told.okta_id, "no Okta id"));
    let mut part = |heading: &str, lines: &[String]| {
        for (i, line) in lines.iter().enumerate() {
            let heading = if i == 0 { heading } else { "" };
            let _ = writeln!(text, "  {heading:<14}{line}");
        }
    };
    part("Okta", &told.okta);
    part("Teleport", &told.teleport);
    part("Rule", std::slice::from_ref(&told.rule));
    part("Next pass", &told.next);
    part("To change it", &told.remedies);
    text
}

fn or_unknown<'a>(word: &'a str, unknown: &'a str) -> &'a str {
    if word.is_empty() { unknown } else { word }
}
