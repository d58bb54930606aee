//! The story, step by step, as data: what happens, what is expected, and how it is recognised on both sides.
//!
//! To add a step, add an entry to [`steps`]. A step changes something in Okta (or annotates the resource), asks for a
//! pass, and looks until the pass has ended and both Teleport and the resource's status show what is expected.

use api::{OktaUserSyncStatus, condition, names};
use serde_json::json;
use teleport_sim::{LockState, UserView};
use testkit::eventually;

use super::cast::Person;
use super::patience;
use super::stage::{Stage, words};
use crate::terminal::Progress;

/// What a step does before it looks.
pub enum Act {
    /// Applies the quickstart.
    Apply,
    /// Nothing: only another pass.
    Nothing,
    /// Changes something in Okta.
    Okta(fn(&Stage) -> Result<(), okta_sim::Refusal>),
    /// Approves the plan that is held.
    Approve,
}

/// Looks at both sides: what is seen if it is what is expected, else what is there instead.
type Look = fn(&Stage, &OktaUserSyncStatus) -> Result<String, String>;

/// One step.
pub struct Step {
    /// Its name, for programs.
    pub name: &'static str,
    /// What is expected, in a sentence.
    pub expected: String,
    act: Act,
    look: Look,
}

/// The whole story.
pub fn steps(stage: &Stage) -> Vec<Step> {
    let (cast, people) = (&stage.cast, stage.people);
    let step = |name, act, look, expected| Step { name, expected, act, look };
    vec![
        step(
            "import",
            Act::Apply,
            import,
            format!("all {people} people are Teleport users with their traits and role"),
        ),
        step("quiet", Act::Nothing, quiet, "a pass that finds no difference writes nothing to Teleport".into()),
        step(
            "profile",
            Act::Okta(promote),
            profile,
            format!("{} gets another title; the trait follows", cast.mover.name),
        ),
        step(
            "deactivated",
            Act::Okta(|stage| stage.okta.org().deactivate(&stage.cast.leaver.id)),
            deactivated,
            format!(
                "{} is deactivated: locked first, then the account goes; the lock runs out by itself",
                cast.leaver.name
            ),
        ),
        step(
            "suspended",
            Act::Okta(|stage| stage.okta.org().suspend(&stage.cast.sleeper.id)),
            suspended,
            format!("{} is suspended: locked, the account stays", cast.sleeper.name),
        ),
        step(
            "unsuspended",
            Act::Okta(|stage| stage.okta.org().unsuspend(&stage.cast.sleeper.id)),
            unsuspended,
            format!("{} is no longer suspended: the lock is lifted", cast.sleeper.name),
        ),
        step(
            "unassigned",
            Act::Okta(|stage| stage.okta.org().unassign(&stage.okta.ready().app_id, &stage.cast.returner.id)),
            unassigned,
            format!("{} is no longer assigned to the app: locked, and the account goes", cast.returner.name),
        ),
        step(
            "returned",
            Act::Okta(|stage| {
                stage.okta.org().assign(
                    &stage.okta.ready().app_id,
                    &stage.cast.returner.id,
                    Some(&stage.cast.returner.name),
                )
            }),
            returned,
            format!("{} is assigned again: the account is made anew, the lock is lifted", cast.returner.name),
        ),
        step(
            "renamed",
            Act::Okta(|stage| {
                stage.okta.org().rename(
                    &stage.okta.ready().app_id,
                    &stage.cast.renamed.id,
                    &new_name(&stage.cast.renamed),
                )
            }),
            renamed,
            format!(
                "{} becomes {}: the new account is made, then the old one is locked and goes",
                cast.renamed.name,
                new_name(&cast.renamed)
            ),
        ),
        step(
            "brake",
            Act::Okta(unassign_crowd),
            held,
            format!("{} people are unassigned at once: the brake holds, nobody is removed", cast.crowd.len()),
        ),
        step(
            "approved",
            Act::Approve,
            approved,
            "the held plan is approved by its hash: exactly those people go".into(),
        ),
    ]
}

impl Step {
    /// Plays the step: what was seen on both sides.
    ///
    /// # Errors
    /// What was seen instead, when the time was up.
    pub async fn play(&self, stage: &mut Stage, progress: &Progress) -> Result<String, String> {
        let token = stage.token();
        self.perform(stage, &token).await?;
        let (count, people) = (matches!(self.act, Act::Apply), stage.people);
        let seen = eventually(patience(people), "both sides to show it", async || {
            if count {
                progress.count("importing", stage.imported(), people);
            }
            let status = stage.status_after(&token).await?;
            let teleport = (self.look)(stage, &status).map_err(|seen| format!("{seen}; status: {}", words(&status)))?;
            Ok::<_, String>(format!("Teleport: {teleport}\nstatus:   {}", words(&status)))
        });
        seen.await.map_err(|e| e.to_string())
    }

    /// Does what the step does, and asks for a pass.
    async fn perform(&self, stage: &Stage, token: &str) -> Result<(), String> {
        stage.mark();
        let asked = match &self.act {
            Act::Apply => stage.apply_quickstart(token).await,
            Act::Nothing => stage.request_pass(token, None).await,
            Act::Okta(change) => {
                change(stage).map_err(|refusal| format!("Okta refused: {refusal}"))?;
                stage.request_pass(token, None).await
            }
            Act::Approve => {
                let plan = stage.pending_plan().await?;
                stage.request_pass(token, Some((names::APPROVE_PLAN, &plan.hash))).await
            }
        };
        asked.map_err(|stop| stop.message)
    }
}

/// The title that the mover gets.
const TITLE: &str = "Head of Curiosity";

fn promote(stage: &Stage) -> Result<(), okta_sim::Refusal> {
    stage.okta.org().update_profile(&stage.cast.mover.id, &json!({ "title": TITLE }))
}

fn unassign_crowd(stage: &Stage) -> Result<(), okta_sim::Refusal> {
    let app = stage.okta.ready().app_id;
    stage.cast.crowd.iter().try_for_each(|person| stage.okta.org().unassign(&app, &person.id))
}

fn new_name(person: &Person) -> String {
    format!("new.{}", person.name)
}

fn import(stage: &Stage, status: &OktaUserSyncStatus) -> Result<String, String> {
    let synced = status.users.unwrap_or_default().synced;
    if usize::try_from(synced) != Ok(stage.people) {
        return Err(format!("{synced} users are synced"));
    }
    ready(status)?;
    let ours: Vec<UserView> = stage.users();
    let whole =
        ours.iter().filter(|user| user.roles == ["okta-requester"] && user.traits.contains_key("okta/email")).count();
    if whole != stage.people {
        return Err(format!("{} users carry our label, {whole} of them role and traits", ours.len()));
    }
    let sample = stage.user(&stage.cast.mover)?;
    Ok(format!(
        "{whole} users with role okta-requester; {} has {} traits, such as okta/title={}",
        sample.name,
        sample.traits.len(),
        title(&sample)
    ))
}

fn quiet(stage: &Stage, status: &OktaUserSyncStatus) -> Result<String, String> {
    ready(status)?;
    let users = status.users.unwrap_or_default();
    let since = stage.writes().len();
    if users.created + users.updated + users.removed > 0 || since > 0 {
        return Err(format!("{since} writes"));
    }
    Ok("0 writes".into())
}

fn profile(stage: &Stage, status: &OktaUserSyncStatus) -> Result<String, String> {
    ready(status)?;
    let user = stage.user(&stage.cast.mover)?;
    match title(&user) {
        TITLE => Ok(format!("{} has okta/title={TITLE}", user.name)),
        other => Err(format!("{} has okta/title={other}", user.name)),
    }
}

fn deactivated(stage: &Stage, status: &OktaUserSyncStatus) -> Result<String, String> {
    ready(status)?;
    removed(stage, &stage.cast.leaver)
}

fn suspended(stage: &Stage, status: &OktaUserSyncStatus) -> Result<String, String> {
    ready(status)?;
    let user = stage.user(&stage.cast.sleeper)?;
    if user.lock != LockState::Enforced || status.users.unwrap_or_default().suspended != 1 {
        return Err(format!("{} is there, its lock is {:?}", user.name, user.lock));
    }
    Ok(format!("{} is there; a lock on it is in force", user.name))
}

fn unsuspended(stage: &Stage, status: &OktaUserSyncStatus) -> Result<String, String> {
    ready(status)?;
    free(stage, &stage.cast.sleeper.name)
}

fn unassigned(stage: &Stage, status: &OktaUserSyncStatus) -> Result<String, String> {
    ready(status)?;
    removed(stage, &stage.cast.returner)
}

fn returned(stage: &Stage, status: &OktaUserSyncStatus) -> Result<String, String> {
    ready(status)?;
    free(stage, &stage.cast.returner.name)
}

fn renamed(stage: &Stage, status: &OktaUserSyncStatus) -> Result<String, String> {
    ready(status)?;
    let new = free(stage, &new_name(&stage.cast.renamed))?;
    let old = removed(stage, &stage.cast.renamed)?;
    let writes = stage.writes();
    let place = |method, name: &str| writes.iter().position(|write| write.method == method && write.name == name);
    let made = place("CreateUser", &new_name(&stage.cast.renamed));
    let gone = place("DeleteUser", &stage.cast.renamed.name);
    if made.is_some() && made < gone {
        Ok(format!("{new}; {old}"))
    } else {
        Err("the old account went before the new one was made".into())
    }
}

fn held(stage: &Stage, status: &OktaUserSyncStatus) -> Result<String, String> {
    let crowd = &stage.cast.crowd;
    let here = crowd.iter().filter(|person| stage.teleport.user(&person.name).is_some()).count();
    let locked = crowd.iter().filter(|person| stage.lock_on(&person.name).is_some()).count();
    let Some(plan) = &status.pending_plan else { return Err("no plan is held".into()) };
    if here != crowd.len() || locked > 0 || usize::try_from(plan.removals) != Ok(crowd.len()) {
        return Err(format!(
            "{here} of {} are there, {locked} locked; a plan of {} is held",
            crowd.len(),
            plan.removals
        ));
    }
    if condition::find(&status.conditions, condition::REMOVALS_HELD).is_none() {
        return Err("no condition RemovalsHeld".into());
    }
    let first = plan.sample.first().map(String::as_str).unwrap_or_default();
    Ok(format!("all {here} are there and free; held: plan {} ({}), the first of it {first}", plan.hash, plan.reason))
}

fn approved(stage: &Stage, status: &OktaUserSyncStatus) -> Result<String, String> {
    ready(status)?;
    let crowd = &stage.cast.crowd;
    for person in crowd {
        removed(stage, person)?;
    }
    Ok(format!("all {} are gone, each locked first; {} users stay", crowd.len(), stage.users().len()))
}

/// The last pass did all that it had to do, and status speaks of nothing held.
fn ready(status: &OktaUserSyncStatus) -> Result<(), String> {
    let ready = condition::find(&status.conditions, condition::READY).is_some_and(|c| c.status == "True");
    match (ready, &status.pending_plan) {
        (true, None) => Ok(()),
        (true, Some(_)) => Err("a plan is held".into()),
        (false, _) => Err("not Ready".into()),
    }
}

/// The account is gone, it was locked when it went, and the lock is in force until a known time (P4, P10).
fn removed(stage: &Stage, person: &Person) -> Result<String, String> {
    if stage.teleport.user(&person.name).is_some() {
        return Err(format!("{} is still there", person.name));
    }
    let Some(lock) = stage.lock_on(&person.name).filter(|lock| lock.enforced) else {
        return Err(format!("no lock on {} is in force", person.name));
    };
    let Some(expires) = lock.expires else { return Err(format!("the lock on {} never ends", person.name)) };
    if stage.lock_at_deletion(&person.name) != Some(LockState::Enforced) {
        return Err(format!("{} was deleted before its lock was in force", person.name));
    }
    Ok(format!("{} is gone; its lock is in force until {expires:.0}", person.name))
}

/// The account is there, and no lock hits it.
fn free(stage: &Stage, name: &str) -> Result<String, String> {
    match stage.teleport.user(name) {
        Some(user) if user.lock == LockState::None => Ok(format!("{name} is there and free")),
        Some(user) => Err(format!("{name} is there, its lock is {:?}", user.lock)),
        None => Err(format!("{name} is not there")),
    }
}

fn title(user: &UserView) -> &str {
    user.traits.get("okta/title").and_then(|values| values.first()).map_or("(none)", String::as_str)
}
