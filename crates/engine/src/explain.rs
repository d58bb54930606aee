//! One person, explained: what Okta says, what Teleport holds, which rule decided, what the next pass will do, and what
//! would change it. It reads both sides as a pass does, and writes nothing.

use api::spec::RemovalAction;
use serde::Serialize;

use crate::{
    cluster::{Cluster, ClusterFacts},
    confirm::{Confirmation, confirm},
    directory::{Directory, PeopleSource, Standing},
    failure::{Class, Failure, Side},
    ground::Ground,
    guard,
    lock::Lock,
    observed::Observed,
    ownership,
    pass::Pass,
    people::{Judgement, People},
    plan::{Plan, Removal, Situation, plan},
    report::Read,
    user::User,
};

/// One person, explained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// User name, as far as one is known.
    pub user: String,
    /// Okta id, as far as one is known.
    pub okta_id: String,
    /// What Okta says, asked by id just now.
    pub okta: Vec<String>,
    /// What Teleport holds.
    pub teleport: Vec<String>,
    /// Which rule decided, and how.
    pub rule: String,
    /// What the next pass will do.
    pub next: Vec<String>,
    /// What would change it.
    pub remedies: Vec<String>,
}

impl Pass<'_> {
    /// Explains `who`: an Okta id (`00u…`) or a user name.
    ///
    /// # Errors
    /// Either side could not be read, or nobody and nothing goes by that name.
    pub async fn explain<D: Directory, C: Cluster>(
        self,
        directory: &D,
        cluster: &C,
        who: &str,
    ) -> Result<Explanation, Failure> {
        let mut report = self.empty_report();
        let ground = self.ground(directory, cluster, &mut report).await?;
        let observed = self.observe(cluster, &ground).await?;
        let mode = ground.cluster.origin_mode;
        let people = People::read(directory, &ground.source, self.policy, mode, &observed, &|_| {}).await;
        let plan = plan(Situation {
            policy: self.policy,
            observed: &observed,
            people: &people,
            mode,
            lock_life: ground.lock_life,
            now: self.started,
        });
        let okta_id = find(who, &people, &observed, &plan);
        let name = name_of(who, okta_id.as_deref(), &people, &observed);
        let user = match name.as_deref() {
            Some(name) => cluster.user(name).await?,
            None => None,
        };
        if okta_id.is_none() && user.is_none() {
            return Err(nobody(who, &people));
        }
        let mut told = Explanation {
            user: name.clone().unwrap_or_default(),
            okta_id: okta_id.clone().unwrap_or_default(),
            ..Explanation::default()
        };
        told.okta = match &okta_id {
            Some(id) => in_okta(directory, &ground.source, id).await?,
            None => vec!["nobody in scope has that user name".into()],
        };
        told.teleport = in_teleport(user.as_ref(), name.as_deref(), &observed, &ground.cluster, self.policy);
        told.rule = self.rule(okta_id.as_deref(), &people);
        let theirs = |removal: &&Removal| is_about(&told, &removal.okta_id, &removal.name);
        let removals = plan.removals.iter().filter(theirs).cloned().collect();
        let answers = confirm(directory, &ground.source, self.policy, removals).await;
        tell_next(&mut told, &plan);
        self.tell_removals(&mut told, answers, &ground);
        let app = ground.organisation.app.as_ref();
        if let Some(refusal) = guard::refusal(&people.read, people.sight(), observed.owned(), &self.memory, app) {
            told.remedies.push(format!("nobody is removed, because {}: {}", refusal.message, refusal.remedy));
        }
        if told.next.is_empty() {
            told.next.push("nothing: all is as it should be".into());
        }
        Ok(told)
    }

    fn rule(&self, okta_id: Option<&str>, people: &People) -> String {
        match okta_id.and_then(|id| people.get(id)).map(|entry| entry.judgement) {
            Some(Judgement::Member { suspended: false }) => "belongs".into(),
            Some(Judgement::Member { suspended: true }) => {
                format!("belongs, but is suspended in Okta; users.suspended is {:?}", self.policy.suspended)
            }
            Some(Judgement::Leaver(cause)) => format!("does not belong: {}", cause.words()),
            Some(Judgement::Keep { why, .. }) => format!("is left as they are: {why}"),
            Some(Judgement::Excluded) => "is never touched: scope.exclude names the user".into(),
            None => match &people.read {
                Read::Complete => "is not in the source (the list was read to its end)".into(),
                read => format!("was not seen, but the list was not read to its end ({})", read.words()),
            },
        }
    }

    /// What Okta, asked by id as a pass would ask, makes of the removals that are planned.
    fn tell_removals(&self, told: &mut Explanation, answers: Vec<Confirmation>, ground: &Ground) {
        for answer in answers {
            told.next.push(match answer {
                Confirmation::Confirmed(removal) => {
                    if let Some(pending) = &self.pending {
                        told.remedies.push(format!(
                            "removals wait for approval of plan {}: {} (status.pendingPlan)",
                            pending.hash, pending.reason
                        ));
                    }
                    self.removal_words(&removal, ground)
                }
                Confirmation::Denied(removal) => {
                    format!(
                        "keep the user {}: Okta's list lacks the person, who belongs when asked for by id",
                        removal.name
                    )
                }
                Confirmation::Kept(removal, keep) => {
                    told.remedies.push(keep.remedy.into());
                    format!("leave the user {} as it is: {}", removal.name, keep.why)
                }
                Confirmation::Unanswered(removal, failure) => {
                    told.remedies.push(failure.remedy.clone());
                    format!("leave the user {} until Okta can be asked about the person: {failure}", removal.name)
                }
            });
        }
    }

    fn removal_words(&self, removal: &Removal, ground: &Ground) -> String {
        let (name, why) = (&removal.name, removal.cause.words());
        match self.policy.action {
            RemovalAction::Delete => format!(
                "lock the user {name} for {}h and delete it ({why}), once the brake lets it pass",
                ground.lock_life.as_hours()
            ),
            RemovalAction::LockOnly => {
                format!("lock the user {name} until the person comes back ({why}), once the brake lets it pass")
            }
        }
    }
}

/// What the plan does about them, but for removals.
fn tell_next(told: &mut Explanation, plan: &Plan) {
    let about = |okta_id: &str, name: &str| is_about(told, okta_id, name);
    let mut next = Vec::new();
    for creation in plan.creations.iter().filter(|c| about(&c.okta_id, &c.name)) {
        next.push(match &creation.renamed_from {
            Some(old) => format!("make the user {} (until now {old})", creation.name),
            None => format!("make the user {}", creation.name),
        });
    }
    for update in plan.updates.iter().filter(|u| about(&u.okta_id, &u.name)) {
        next.push(format!("change the user {}: it {}", update.name, update.kind.words()));
    }
    for suspension in plan.suspensions.iter().filter(|s| about(&s.okta_id, &s.name)) {
        next.push(format!("lock the user {} until the person comes back", suspension.name));
    }
    for lift in plan.lifts.iter().filter(|l| about(&l.okta_id, &l.name)) {
        next.push(format!("lift our lock on {}", lift.name));
    }
    let obstacles: Vec<_> = plan.obstacles.iter().filter(|o| o.user == told.user || o.user == told.okta_id).collect();
    next.extend(obstacles.iter().map(|obstacle| obstacle.message.clone()));
    told.remedies.extend(obstacles.iter().map(|obstacle| obstacle.remedy.clone()));
    told.next = next;
}

/// Whether something that is planned for that person or user is about whom is asked for.
fn is_about(told: &Explanation, okta_id: &str, name: &str) -> bool {
    (!told.okta_id.is_empty() && okta_id == told.okta_id) || (!told.user.is_empty() && name == told.user)
}

/// The Okta id behind `who`.
fn find(who: &str, people: &People, observed: &Observed, plan: &Plan) -> Option<String> {
    if people.get(who).is_some() || observed.accounts(who).next().is_some() {
        return Some(who.to_owned());
    }
    let owner = observed.user(who).and_then(|row| match row.ownership {
        ownership::Ownership::Ours { okta_id } => Some(okta_id),
        _ => None,
    });
    let by_name = || people.iter().find(|(_, entry)| *entry.name == *who).map(|(id, _)| id.to_owned());
    let by_lock = || observed.locks(who).iter().find_map(|lock| lock.ours.as_ref().map(|mark| mark.okta_id.clone()));
    let planned = || plan.removals.iter().find(|removal| removal.name == who).map(|removal| removal.okta_id.clone());
    by_name().or(owner).or_else(planned).or_else(by_lock)
}

fn name_of(who: &str, okta_id: Option<&str>, people: &People, observed: &Observed) -> Option<String> {
    if observed.user(who).is_some() {
        return Some(who.to_owned());
    }
    let Some(id) = okta_id else { return Some(who.to_owned()) };
    let listed = people.get(id).map(|entry| entry.name.to_string()).filter(|name| !name.is_empty());
    listed.or_else(|| observed.accounts(id).next().map(str::to_owned)).or_else(|| (who != id).then(|| who.to_owned()))
}

async fn in_okta<D: Directory>(directory: &D, source: &PeopleSource, id: &str) -> Result<Vec<String>, Failure> {
    Ok(match directory.person(source, id).await? {
        Standing::Gone => vec![format!("no user has the id {id}: deleted")],
        Standing::NotInSource(status) => vec![format!("status {}", status.as_str()), "not assigned".into()],
        Standing::Present(person) => {
            let mut said = vec![format!("status {}", person.status.as_str())];
            said.extend(person.becoming.as_ref().map(|to| format!("becoming {}", to.as_str())));
            said.extend(person.assignment.as_ref().map(|status| format!("assignment {}", status.as_str())));
            said.push(format!("user name {}", person.user_name.as_deref().unwrap_or("(none)")));
            said
        }
    })
}

fn in_teleport(
    user: Option<&User>,
    name: Option<&str>,
    observed: &Observed,
    facts: &ClusterFacts,
    policy: &crate::policy::Policy,
) -> Vec<String> {
    let mut said = Vec::new();
    match user {
        None => said.push("no user".into()),
        Some(user) => {
            match ownership::of(&user.view(), policy, facts) {
                ownership::Ownership::Ours { okta_id } => said.push(format!("a user of ours, of {okta_id}")),
                other => said.push(other.conflict().0),
            }
            said.push(format!("roles {}", user.roles.join(", ")));
            said.push(format!("{} traits", user.traits.len()));
        }
    }
    said.extend(name.iter().flat_map(|name| observed.locks(name)).map(lock_words));
    let foreign = name.and_then(|name| observed.locked_by_others(name));
    said.extend(foreign.map(|lock| format!("locked by the lock {lock}, which is not ours")));
    said
}

fn lock_words(lock: &Lock) -> String {
    match lock.expires {
        Some(end) => format!("locked by us until {end:.0}: {}", lock.message),
        None => format!("locked by us until we lift it: {}", lock.message),
    }
}

fn nobody(who: &str, people: &People) -> Failure {
    Failure::new(
        Side::Here,
        Class::Configuration,
        "NobodyByThatName",
        format!("nobody in scope (of {} people) and no Teleport user goes by {who:?}", people.len()),
        "give the person's Okta id (00u…) or the user name, exactly as Okta writes it",
    )
}
