//! What a pass proves before it reads people: our own identity, the roles, the life of a lock, the organisation, the app.

use std::collections::HashMap;

use jiff::SignedDuration;

use crate::{
    cluster::{Cluster, ClusterFacts, ConnectorLookup},
    directory::{Directory, Organisation, PeopleSource},
    failure::{Class, Failure, Side},
    guard,
    lock::lock_life,
    pass::Pass,
    report::Report,
    role::{self, ABOVE_CEILING, Role},
};

/// What is known before people are read.
pub(crate) struct Ground {
    pub(crate) cluster: ClusterFacts,
    pub(crate) organisation: Organisation,
    pub(crate) source: PeopleSource,
    pub(crate) lock_life: SignedDuration,
    /// Roles that the cluster has, by name.
    pub(crate) roles: HashMap<String, Role>,
}

impl Pass<'_> {
    /// Proves both sides before anything else: our own identity, the roles, the life of a lock, the organisation, the app.
    pub(crate) async fn ground<D: Directory, C: Cluster>(
        &self,
        directory: &D,
        cluster: &C,
        report: &mut Report,
    ) -> Result<Ground, Failure> {
        let facts = cluster.prove_identity().await?;
        report.warnings.extend(facts.notices.iter().cloned());
        report.cluster = Some(facts.clone());
        let roles = cluster.roles().await?;
        let longest = lock_life(&roles, self.policy.lock_margin);
        let roles: HashMap<String, Role> = roles.into_iter().map(|role| (role.name.clone(), role)).collect();
        self.may_be_given(&roles, &facts)?;
        let lock_life = longest?;
        report.lock_life = Some(lock_life);
        let source = self.policy.source(self.connector_app(cluster, report).await?)?;
        let organisation = directory.organisation(&source).await?;
        guard::same_organisation(&organisation, self.pinned_org)?;
        report.warnings.extend(organisation.warnings.iter().cloned());
        report.organisation = Some(organisation.clone());
        if source == PeopleSource::Org {
            report.warnings.push("scope.source is Org: everybody in the Okta organisation gets a user, whether or not the SAML app is assigned to them; App takes those alone".into());
        }
        Ok(Ground { cluster: facts, organisation, source, lock_life, roles })
    }

    /// Roles are looked up before the first write, and afresh in every pass: some servers take unknown roles in updates, and
    /// what a role grants can change under its name (P13).
    fn may_be_given(&self, roles: &HashMap<String, Role>, facts: &ClusterFacts) -> Result<(), Failure> {
        for wanted in &self.policy.roles {
            let Some(role) = roles.get(wanted) else {
                return Err(Failure::new(
                    Side::Teleport,
                    Class::Configuration,
                    "RoleMissing",
                    format!("the role {wanted:?} of users.roles does not exist on the cluster {}", facts.name),
                    "make the role (tctl create), or name another in users.roles; okta-requester exists on Enterprise clusters only",
                ));
            };
            if !self.policy.ceiling.allows(role) {
                return Err(Failure::new(
                    Side::Here,
                    Class::Configuration,
                    ABOVE_CEILING,
                    format!(
                        "users.roles names {wanted:?}, which grants something by itself on the cluster {}; this operator may give: {}",
                        facts.name,
                        self.policy.ceiling.words()
                    ),
                    role::REMEDY,
                ));
            }
        }
        Ok(())
    }

    /// The app that the connector names. A connector that cannot be seen stops nothing as long as `scope.appID` is given:
    /// Community Edition has none, and the system role may not read it.
    async fn connector_app<C: Cluster>(&self, cluster: &C, report: &mut Report) -> Result<Option<String>, Failure> {
        let name = &self.policy.connector;
        match cluster.connector(name).await? {
            ConnectorLookup::Found { app_id } => {
                if let (Some(theirs), Some(ours)) = (&app_id, &self.policy.app_id)
                    && theirs != ours
                {
                    report.warnings.push(format!(
                        "scope.appID is {ours}, but the connector {name:?} belongs to the Okta app {theirs}"
                    ));
                }
                Ok(app_id)
            }
            ConnectorLookup::Missing => {
                report.warnings.push(format!(
                    "Teleport has no SAML connector {name:?}: people cannot log in through it until there is one"
                ));
                Ok(None)
            }
            ConnectorLookup::Unreadable(why) => {
                report.warnings.push(format!("the SAML connector {name:?} could not be read: {why}"));
                Ok(None)
            }
        }
    }
}
