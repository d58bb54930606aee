//! `okta-user-sync sync` and `preview`: one pass over manifests in a file, without Kubernetes.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use api::OktaUserSync;
use api::names::APPROVE_PLAN;
use api::spec::{Mode, SecretKeyRef};
use clap::{Args, ValueEnum};
use engine::failure::Failure;
use engine::ledger::Ledger;
use engine::pass::{Pass, Progress as Step};
use engine::policy::Policy;
use engine::report::Report;
use engine::role::Ceiling;
use jiff::Timestamp;
use kube::ResourceExt as _;
use operator::journal::{Journal, Target};
use operator::metrics::Resource;
use operator::resolve::{Clients, Defaults, Resolver, Subject, TeleportDefaults};
use operator::secrets::MapSecrets;

use crate::command::joining::LoadArguments;
use crate::diff;
use crate::exit::{Exit, Stop};
use crate::manifest::{Manifests, Pick};
use crate::outcome;
use crate::signal::StopSignal;
use crate::state::State;
use crate::terminal::{self, Progress};

/// Shown below `sync --help`.
pub const SYNC_EXAMPLES: &str = "\
Examples:
  okta-user-sync sync -f acme.yaml
  okta-user-sync sync -f acme.yaml --okta-key key.pem --teleport-identity identity --state acme.state.json
  kubectl get ous,secret -n okta-user-sync -o yaml | okta-user-sync sync -f - -o json
  okta-user-sync sync -f acme.yaml --approve 0f3a…      # apply the removals that the last pass held

acme.yaml holds the same manifests that kubectl apply takes: one OktaUserSync and the Secrets that it refers to;
examples/quickstart.yaml is one.

Exit codes: 0 done; 1 refused, held or partly failed (the output says what and why); 2 bad input, nothing was tried.";

/// Shown below `preview --help`.
pub const PREVIEW_EXAMPLES: &str = "\
Examples:
  okta-user-sync preview -f acme.yaml
  okta-user-sync preview -f acme.yaml -o diff
  okta-user-sync preview -f acme.yaml --okta-key key.pem --teleport-identity identity -o json | jq '.changes[]'

Nothing is written, neither to Teleport nor to the state file.

Exit codes: 0 done; 1 something could not be read (the output says what and why); 2 bad input, nothing was tried.";

/// What the commands take.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Manifests: one OktaUserSync and its Secrets, as YAML or JSON; - is standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Which OktaUserSync is meant, if the file holds several.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Namespace of manifests that name none. It is part of the label by which users are owned.
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// How the outcome is written to standard output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: PassFormat,
    /// Leave the list of changes out of the outcome, and keep the counts: for passes over many thousands.
    #[arg(long)]
    counts_only: bool,
    #[command(flatten)]
    okta: OktaArguments,
    #[command(flatten)]
    teleport: TeleportArguments,
    #[command(flatten)]
    load: LoadArguments,
    /// Apply the removals that an earlier pass held, and exactly these: the hash of that plan.
    #[arg(long, value_name = "HASH", help_heading = "Removals")]
    approve: Option<String>,
    /// What this run must know of the former ones (removals of the last hour, the organisation, a held plan) is kept in
    /// this file, as the resource's status does in Kubernetes. Without it the brake knows of former runs by their locks
    /// alone, and a held plan has no date.
    #[arg(long, value_name = "FILE", help_heading = "Removals")]
    state: Option<PathBuf>,
    /// Where every write to Teleport is told as lines of JSON (docs/journal.md): a file, or - for standard output.
    #[arg(long, value_name = "PATH|-", env = "OKTA_USER_SYNC_AUDIT_JOURNAL")]
    audit_journal: Option<Target>,
}

/// What is given for Okta beside the manifests.
#[derive(Debug, Args)]
#[command(next_help_heading = "Okta")]
pub struct OktaArguments {
    /// The private key (PEM or JWK) of the API Services app, in place of the Secret of okta.privateKeySecretRef.
    #[arg(long, value_name = "FILE", env = "OKTA_USER_SYNC_OKTA_KEY")]
    pub okta_key: Option<PathBuf>,
    /// Certificate authorities (PEM) that are trusted for Okta beside the system's.
    #[arg(long, value_name = "FILE", env = "OKTA_USER_SYNC_OKTA_CA")]
    okta_ca: Option<PathBuf>,
}

/// What is given for Teleport beside the manifests.
#[derive(Debug, Args)]
#[command(next_help_heading = "Teleport")]
pub struct TeleportArguments {
    /// The identity file (tctl auth sign, tbot), in place of the Secret of teleport.identitySecretRef.
    #[arg(long, value_name = "FILE", env = "OKTA_USER_SYNC_TELEPORT_IDENTITY")]
    pub teleport_identity: Option<PathBuf>,
    /// host:port of the cluster, if the manifest names none in teleport.address.
    #[arg(long, value_name = "ADDRESS", env = "OKTA_USER_SYNC_TELEPORT_ADDRESS")]
    pub teleport_address: Option<String>,
    /// A role that may be given at all, whatever the manifest says; exact, or with * and ?. May be repeated.
    #[arg(
        long,
        value_name = "ROLE",
        env = "OKTA_USER_SYNC_ALLOWED_ROLES",
        value_delimiter = ',',
        default_value = "okta-requester"
    )]
    pub allowed_role: Vec<String>,
    /// Give the roles of --allowed-role and no others. Without this, a role that grants nothing by itself may be given as
    /// well, but for editor, auditor and access.
    #[arg(long, env = "OKTA_USER_SYNC_ONLY_ALLOWED_ROLES")]
    pub only_allowed_roles: bool,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One document (docs/cli.md).
    Json,
    /// The same as YAML.
    Yaml,
}

/// How a pass is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PassFormat {
    /// For people.
    Table,
    /// A diff of each user: what stands in Teleport, and what will.
    Diff,
    /// One document (docs/cli.md).
    Json,
    /// The same as YAML.
    Yaml,
}

/// Which of the two commands it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Apply the plan.
    Sync,
    /// Show it.
    Preview,
}

/// Runs one pass and prints it.
///
/// # Errors
/// Bad input. What goes wrong within the pass is part of its outcome.
pub async fn run(arguments: Arguments, verb: Verb) -> Result<Exit, Stop> {
    let file = arguments.file.display().to_string();
    let pick = Pick { name: arguments.name.as_deref(), namespace: &arguments.namespace };
    let manifests = manifests(&arguments.file, pick, &arguments.okta, &arguments.teleport)?;
    let Manifests { mut resource, own_key, secrets, ignored } = manifests;
    if verb == Verb::Preview {
        resource.spec.mode = Mode::Preview;
    } else if resource.spec.suspend {
        return Err(Stop::undone(format!("{file}: spec.suspend is true, so nothing was done"), "set it to false"));
    }
    for object in &ignored {
        tracing::info!("{file}: {object} plays no part here");
    }
    let began = Instant::now();
    let owner = format!("{}/{}", resource.namespace().unwrap_or_default(), resource.name_any());
    let given = Given {
        okta: &arguments.okta,
        teleport: &arguments.teleport,
        load: Some(arguments.load),
        detail: !arguments.counts_only,
        approve: arguments.approve.as_deref(),
        state: arguments.state.as_deref(),
        audit_journal: arguments.audit_journal.as_ref(),
    };
    let report = pass(given, &owner, &resource, own_key, &secrets).await?;
    print(arguments.output, &owner, &report, began, &ignored)?;
    Ok(outcome::exit(&report))
}

/// The manifests of `file`, with the files that stand in for Secrets in their place.
///
/// # Errors
/// Bad input.
pub fn manifests(
    file: &Path,
    pick: Pick<'_>,
    okta: &OktaArguments,
    teleport: &TeleportArguments,
) -> Result<Manifests, Stop> {
    let mut manifests = Manifests::read(&file.display().to_string(), &read_manifests(file)?, pick)?;
    stand_in(&mut manifests, okta, teleport)?;
    Ok(manifests)
}

fn read_manifests(file: &Path) -> Result<String, Stop> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|all| text = all)
    };
    read.map_err(|e| unreadable(file, &e))?;
    Ok(text)
}

fn unreadable(file: &Path, error: &std::io::Error) -> Stop {
    Stop::bad_input(format!("{}: {error}", file.display()), "name a file that can be read")
}

/// Puts the files that stand in for Secrets in their place.
fn stand_in(manifests: &mut Manifests, okta: &OktaArguments, teleport: &TeleportArguments) -> Result<(), Stop> {
    let namespace = manifests.resource.namespace().unwrap_or_default();
    let spec = &mut manifests.resource.spec;
    let pairs = [
        (&okta.okta_key, &mut spec.okta.private_key_secret_ref),
        (&teleport.teleport_identity, &mut spec.teleport.identity_secret_ref),
    ];
    for (file, reference) in pairs {
        let Some(file) = file else { continue };
        let bytes = std::fs::read(file).map_err(|e| unreadable(file, &e))?;
        // No Secret has a name like that, so it stands in for none of the file's own.
        let stand_in = SecretKeyRef { name: format!("file:{}", file.display()), key: "content".to_owned() };
        manifests.secrets.insert(&namespace, &stand_in.name, &stand_in.key, bytes);
        *reference = Some(stand_in);
    }
    Ok(())
}

/// What is given beside the resource.
#[derive(Clone, Copy)]
struct Given<'a> {
    okta: &'a OktaArguments,
    teleport: &'a TeleportArguments,
    load: Option<LoadArguments>,
    /// Whether every change is listed.
    detail: bool,
    approve: Option<&'a str>,
    state: Option<&'a Path>,
    audit_journal: Option<&'a Target>,
}

/// A first pass over a resource whose mode is Preview.
///
/// # Errors
/// As [`run`].
pub async fn preview(
    okta: &OktaArguments,
    teleport: &TeleportArguments,
    owner: &str,
    resource: &OktaUserSync,
    secrets: &MapSecrets,
) -> Result<Report, Stop> {
    pass(
        Given { okta, teleport, load: None, detail: true, approve: None, state: None, audit_journal: None },
        owner,
        resource,
        None,
        secrets,
    )
    .await
}

/// Resolves, runs the pass, and keeps the state.
async fn pass(
    given: Given<'_>,
    owner: &str,
    resource: &OktaUserSync,
    own_key: Option<SecretKeyRef>,
    secrets: &MapSecrets,
) -> Result<Report, Stop> {
    let mut defaults = defaults(given.okta, given.teleport)?;
    if let Some(load) = given.load {
        defaults.teleport = load.over(defaults.teleport);
    }
    let resolver = Resolver::new(defaults);
    let annotated = resource.annotations().get(APPROVE_PLAN).cloned();
    let (namespace, name) = (resource.namespace().unwrap_or_default(), resource.name_any());
    let subject = Subject {
        namespace: &namespace,
        name: &name,
        spec: &resource.spec,
        own_key,
        approvals: given.approve.map(str::to_owned).into_iter().chain(annotated).collect(),
    };
    let policy = resolver.policy(&subject)?;
    let material = resolver.read(&subject, secrets).await.map_err(|failure| {
        let mut stop = Stop::from(failure);
        stop.remedy.push_str("; or give the file with --okta-key and --teleport-identity");
        stop
    })?;
    let clients = resolver.clients(&subject, &material, None)?;
    let state = match given.state {
        Some(path) => State::load(path, owner)?,
        None => State::default(),
    };
    let journal = journal(given.audit_journal)?;
    let named = Resource { namespace: namespace.clone(), name: name.clone() };
    let report = run_pass(&policy, &clients, &state, (&journal, &named), given.detail).await?;
    if let Some(path) = given.state.filter(|_| policy.mode == Mode::Enforce) {
        state.after(owner, &report).store(path)?;
    }
    Ok(report)
}

fn journal(target: Option<&Target>) -> Result<Journal, Stop> {
    let Some(target) = target else { return Ok(Journal::none()) };
    Journal::open(target, "sync").map_err(|e| {
        Stop::bad_input(
            format!("the audit journal {target} cannot be opened: {e}"),
            "name a file in a folder that can be written to",
        )
    })
}

/// The ceiling on roles (P13).
///
/// # Errors
/// A pattern that cannot be read.
pub fn ceiling(allowed: &[String], only_these: bool) -> Result<Ceiling, Failure> {
    let named = Ceiling::new(allowed)?;
    Ok(if only_these { named } else { named.and_roles_without_grants() })
}

/// What an operator's administrator would set, as the command line gives it.
///
/// # Errors
/// A file or a pattern that cannot be read.
pub fn defaults(okta: &OktaArguments, teleport: &TeleportArguments) -> Result<Defaults, Stop> {
    let okta_ca = match okta.okta_ca.as_deref() {
        Some(file) => Some(std::fs::read(file).map_err(|e| unreadable(file, &e))?),
        None => None,
    };
    Ok(Defaults {
        okta_ca,
        teleport_address: teleport.teleport_address.clone(),
        teleport: TeleportDefaults::default(),
        ceiling: ceiling(&teleport.allowed_role, teleport.only_allowed_roles)?,
    })
}

/// Runs the pass. The first signal stops all writes, and the pass ends with what it has; the second one ends it at once.
async fn run_pass(
    policy: &Policy,
    clients: &Clients,
    state: &State,
    (journal, named): (&Journal, &Resource),
    detail: bool,
) -> Result<Report, Stop> {
    let stopped = AtomicBool::new(false);
    let progress = Progress::start();
    let id = uuid::Uuid::new_v4().simple().to_string();
    let journal = journal.of_pass(named, &id, None);
    let pass = Pass {
        policy,
        memory: state.memory.clone(),
        pending: state.pending_plan.clone(),
        pinned_org: &state.org_id,
        ledger: &Ledger::default(),
        started: Timestamp::now(),
        list_age: Duration::ZERO,
        id: id.clone(),
        may_write: &|| !stopped.load(Ordering::Relaxed),
        detail,
        progress: &|step| show(&progress, step, state.memory.people, clients),
        journal: &journal,
    };
    let mut signal = StopSignal::listen()?;
    let span = || tracing::info_span!(target: "pass", parent: None, "pass", trace_id = id, name = named.name, namespace = named.namespace);
    let pass = Box::pin(pass.run(clients.okta(), clients.teleport().as_ref()));
    let mut run = std::pin::pin!(operator::trace::within(&id, span, pass));
    loop {
        tokio::select! {
            report = &mut run => {
                progress.end();
                return Ok(report);
            }
            () = signal.received() => {
                if stopped.swap(true, Ordering::Relaxed) {
                    return Err(Stop::undone("interrupted", "run it again: what was begun is finished then"));
                }
                progress.say("stopping after the writes under way; once more to stop at once");
            }
        }
    }
}

/// How far it is, with what is left of Okta's tightest limit. `last` is how many people the last complete pass read.
fn show(progress: &Progress, step: Step<'_>, last: i64, clients: &Clients) {
    match step {
        Step::Reading { people } => {
            let left = clients.okta().rate_limits().into_iter().filter_map(|seen| {
                let (limit, remaining) = (seen.limit?, seen.remaining?);
                Some((remaining, format!(", Okta {}: {remaining} of {limit} calls left", seen.bucket)))
            });
            progress.beside(left.min().map(|(_, words)| words).unwrap_or_default());
            match usize::try_from(last) {
                Ok(last) if last >= people => progress.count("reading people", people, last),
                _ => progress.so_far("reading people", people),
            }
        }
        Step::Writing { done, total } => {
            if done == 1 {
                progress.beside(String::new());
            }
            progress.count("writing users", done, total);
        }
        Step::Locked(..) => {}
    }
}

fn print(format: PassFormat, owner: &str, report: &Report, began: Instant, ignored: &[String]) -> Result<(), Stop> {
    let took = began.elapsed();
    match format {
        PassFormat::Table => terminal::print(&outcome::tables(owner, report, took)),
        PassFormat::Diff => terminal::print(&diff::text(owner, report, took)),
        PassFormat::Json => terminal::print_json(&outcome::document(owner, report, took, ignored)),
        PassFormat::Yaml => terminal::print_yaml(&outcome::document(owner, report, took, ignored)),
    }
}
