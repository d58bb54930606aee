//! `okta-user-sync plan show|approve` (`kubectl ousync plan …`): removals that wait for a person's approval.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use api::OktaUserSync;
use api::names::{APPROVE_PLAN, FIELD_MANAGER};
use api::status::PendingPlan;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde::Serialize;
use serde_json::json;

use super::cluster::{Cluster, ClusterArguments, refused};
use super::sync::Format;
use crate::exit::{Exit, Stop};
use crate::terminal;

/// Shown below `plan --help`.
pub const EXAMPLES: &str = "\
Examples:
  okta-user-sync plan show                                  # what is held in this namespace
  okta-user-sync plan show acme -n okta-user-sync
  okta-user-sync plan approve acme 3f9c0a2b5d7e8f10 -n okta-user-sync

More removals at once than the brake allows (spec.removal.brake) are held whole. An approval fits
exactly the plan that was shown: if anybody is added to it or taken from it, the hash is another one.
The same approval from Git is spec.removal.approvedPlan.

As a plugin of kubectl, under the name kubectl-ousync:
  ln -s $(which okta-user-sync) ~/.local/bin/kubectl-ousync
  kubectl ousync plan show --all-namespaces";

const SHOW_EXAMPLES: &str = "\
Examples:
  okta-user-sync plan show
  okta-user-sync plan show --all-namespaces -o json | jq -r '.plans[] | .resource + \" \" + .hash'
  okta-user-sync plan show acme -n okta-user-sync

Exit codes: 0 shown, also when nothing is held; 1 the cluster refused; 2 bad input.";

const APPROVE_EXAMPLES: &str = "\
Examples:
  okta-user-sync plan approve acme 3f9c0a2b5d7e8f10 -n okta-user-sync
  okta-user-sync plan approve acme                          # at a terminal: shows the plan and asks
  okta-user-sync plan approve okta-user-sync/acme 3f9c0a2b5d7e8f10 -o json

Sets the annotation usersync.dev/approve-plan. The operator applies the plan in its next pass, which starts at once.

Exit codes: 0 approved; 1 nothing is held, the hash does not fit, or it is too late; 2 bad input.";

/// What the command takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the removals that wait for approval.
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArguments),
    /// Approve one plan, and exactly this one.
    #[command(after_help = APPROVE_EXAMPLES)]
    Approve(ApproveArguments),
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// The OktaUserSync, as NAME or NAMESPACE/NAME [default: all of the namespace].
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Those of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
    /// How the plans are written to standard output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Debug, Args)]
struct ApproveArguments {
    /// The OktaUserSync, as NAME or NAMESPACE/NAME.
    #[arg(value_name = "NAME")]
    name: String,
    /// Hash of the plan, as `plan show` tells it [default: the plan is shown, and asked for at a terminal].
    #[arg(value_name = "HASH")]
    hash: Option<String>,
    /// How the outcome is written to standard output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// A held plan, for programs. Its fields stay; new ones may come.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    /// `namespace/name`.
    resource: String,
    #[serde(flatten)]
    plan: PendingPlan,
    /// Whether an approval would still count.
    expired: bool,
}

impl Held {
    fn of(resource: &OktaUserSync, now: Timestamp) -> Option<Self> {
        let plan = resource.status.as_ref()?.pending_plan.as_deref()?.clone();
        let name = format!("{}/{}", resource.namespace().unwrap_or_default(), resource.name_any());
        Some(Self { resource: name, expired: plan.expires.0 <= now, plan })
    }

    fn text(&self) -> String {
        let Self { resource, plan, expired } = self;
        let mut text = format!("{}: {} removals wait for approval\n", terminal::heading(resource), plan.removals);
        let mut part = |name: &str, value: &str| {
            let _ = writeln!(text, "  {name:<12}{value}");
        };
        part("hash", &plan.hash);
        part("why", &plan.reason);
        part("held since", &format!("{:.0}", plan.held_since.0));
        let too_late = if *expired { " (too late: the next pass holds it anew)" } else { "" };
        part("approve by", &format!("{:.0}{too_late}", plan.expires.0));
        if let Some(words) = &plan.approval {
            part("approval", words);
        }
        for (at, line) in plan.sample.iter().enumerate() {
            part(if at == 0 { "people" } else { "" }, line);
        }
        let shown = i64::try_from(plan.sample.len()).unwrap_or(i64::MAX);
        if plan.removals > shown {
            part("", &format!("and {} more", plan.removals - shown));
        }
        text
    }
}

/// Shows or approves.
///
/// # Errors
/// There is no cluster, it refuses, or the hash does not fit.
pub async fn run(arguments: Arguments) -> Result<Exit, Stop> {
    match arguments.verb {
        Verb::Show(arguments) => show(&arguments).await,
        Verb::Approve(arguments) => approve(&arguments).await,
    }
}

async fn show(arguments: &ShowArguments) -> Result<Exit, Stop> {
    let cluster = arguments.cluster.connect().await?;
    let resources = if let Some(name) = &arguments.name {
        vec![cluster.resource(name).await?]
    } else {
        let namespace = (!arguments.all_namespaces).then_some(cluster.namespace.as_str());
        let listed = cluster.resources(namespace).list(&ListParams::default()).await;
        listed.map_err(|error| refused(namespace.unwrap_or("of all namespaces"), &error))?.items
    };
    let now = Timestamp::now();
    let held: Vec<Held> = resources.iter().filter_map(|resource| Held::of(resource, now)).collect();
    match arguments.output {
        Format::Table if held.is_empty() => {
            terminal::print(&format!("nothing is held ({} looked at)\n", resources.len()))?;
        }
        Format::Table => terminal::print(&held.iter().map(Held::text).collect::<Vec<_>>().join("\n"))?,
        Format::Json => terminal::print_json(&json!({ "plans": held }))?,
        Format::Yaml => terminal::print_yaml(&json!({ "plans": held }))?,
    }
    Ok(Exit::Done)
}

async fn approve(arguments: &ApproveArguments) -> Result<Exit, Stop> {
    let cluster = arguments.cluster.connect().await?;
    let resource = cluster.resource(&arguments.name).await?;
    let (namespace, name) = cluster.place(&arguments.name);
    let Some(held) = Held::of(&resource, Timestamp::now()) else {
        return Err(Stop::undone(
            format!("{namespace}/{name} holds no removals"),
            "nothing has to be approved; the condition RemovalsHeld says when that changes",
        ));
    };
    let hash = match &arguments.hash {
        Some(hash) => hash.clone(),
        None => ask(&held)?,
    };
    held.fits(&hash)?;
    set(&cluster, namespace, name, &hash).await?;
    let told = json!({ "resource": held.resource, "hash": hash, "removals": held.plan.removals, "approved": true });
    match arguments.output {
        Format::Table => terminal::print(&format!(
            "{}: approved {} removals ({hash}); they are applied in the next pass, which starts at once\n",
            held.resource, held.plan.removals
        ))?,
        Format::Json => terminal::print_json(&told)?,
        Format::Yaml => terminal::print_yaml(&told)?,
    }
    Ok(Exit::Done)
}

impl Held {
    /// Whether an approval of `hash` would count.
    fn fits(&self, hash: &str) -> Result<(), Stop> {
        let Self { resource, plan, expired } = self;
        if plan.hash != hash {
            return Err(Stop::undone(
                format!("the plan that {resource} holds is {}, not {hash}; nothing was approved", plan.hash),
                format!("people came or went since you looked: see it with `plan show {resource}`, and approve that"),
            ));
        }
        if *expired {
            return Err(Stop::undone(
                format!("the plan {hash} could be approved until {:.0}; nothing was approved", plan.expires.0),
                "wait for the next pass, which holds it anew, and approve that",
            ));
        }
        Ok(())
    }
}

/// Shows the plan, and asks a person at the terminal.
fn ask(held: &Held) -> Result<String, Stop> {
    if !std::io::stdin().is_terminal() {
        return Err(Stop::bad_input(
            "nothing says which plan is approved, and nobody can be asked",
            format!("give its hash, which `plan show {}` tells", held.resource),
        ));
    }
    terminal::print(&held.text())?;
    let agreed = dialoguer::Confirm::new()
        .with_prompt(format!("Remove these {} people?", held.plan.removals))
        .default(false)
        .interact()
        .map_err(|e| Stop::undone(format!("no answer: {e}"), "give the hash of the plan"))?;
    if agreed {
        Ok(held.plan.hash.clone())
    } else {
        Err(Stop::undone("nothing was approved", "exclude those who should stay (scope.exclude), or mend it in Okta"))
    }
}

async fn set(cluster: &Cluster, namespace: &str, name: &str, hash: &str) -> Result<(), Stop> {
    let patch = json!({ "metadata": { "annotations": { APPROVE_PLAN: hash } } });
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let api = cluster.resources(Some(namespace));
    let patched = api.patch_metadata(name, &parameters, &Patch::Merge(patch)).await;
    patched.map(drop).map_err(|error| refused(&format!("{namespace}/{name}"), &error))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn held(expires_in: i64) -> Held {
        let now: Timestamp = "2026-02-02T12:00:00Z".parse().unwrap();
        let plan = PendingPlan {
            hash: "3f9c0a2b5d7e8f10".into(),
            reason: "30 removals are more than 5 people and more than 10 % of 100".into(),
            removals: 30,
            sample: vec!["ada@example.com: unassigned".into(), "bob@example.com: deactivated".into()],
            held_since: Time(now),
            expires: Time(now + SignedDuration::from_hours(expires_in)),
            approval: None,
        };
        Held { resource: "okta-user-sync/acme".into(), expired: expires_in <= 0, plan }
    }

    // plan.rs, `fits`.
    #[test]
    fn p05_only_the_hash_of_the_held_plan_fits_and_only_in_time() {
        held(24).fits("3f9c0a2b5d7e8f10").unwrap();
        for wrong in ["", "3f9c", "3f9c0a2b5d7e8f11", "3f9c0a2b5d7e8f10 "] {
            let stop = held(24).fits(wrong).unwrap_err();
            assert!(stop.exit == Exit::Undone && stop.message.contains("nothing was approved"), "{wrong:?}: {stop}");
        }
        assert!(held(0).fits("3f9c0a2b5d7e8f10").unwrap_err().message.contains("could be approved until"));
    }

    #[test]
    fn a_plan_is_told_with_what_is_needed_to_decide() {
        let text = held(24).text();
        for words in ["30 removals wait", "3f9c0a2b5d7e8f10", "ada@example.com: unassigned", "and 28 more"] {
            assert!(text.contains(words), "{words:?} not in\n{text}");
        }
    }
}
