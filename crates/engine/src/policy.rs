//! What one resource asks for, read once and checked: globs and the filter compiled, roles held against the ceiling.

use std::collections::HashSet;

use api::spec::{Adopt, Brake, Mode, OktaUserSyncSpec, RemovalAction, Returning, Source, Suspended, TraitMapping};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};

use crate::{
    directory::PeopleSource,
    failure::{Class, Failure, Side},
    filter::Filter,
    role::{self, ABOVE_CEILING, Ceiling},
};

/// The settings of one resource, ready for use.
#[derive(Debug)]
pub struct Policy {
    /// `namespace/name` of the resource: the value of the ownership label.
    pub owner: String,
    /// The Okta organisation.
    pub org_url: String,
    /// App, groups or everyone.
    pub source: Source,
    /// App id, if the specification gives it.
    pub app_id: Option<String>,
    /// Groups that narrow the scope (or are it).
    pub groups: Vec<String>,
    /// The compiled filter, if there is one.
    pub filter: Option<Filter>,
    /// User names that are never touched, letter case aside.
    pub exclude: GlobSet,
    /// SAML connector.
    pub connector: String,
    /// Roles that every user gets.
    pub roles: Vec<String>,
    /// Roles that may be given at all (P13).
    pub ceiling: Ceiling,
    /// Which profile values become traits.
    pub traits: TraitRules,
    /// What suspension does.
    pub suspended: Suspended,
    /// When those who return get their account.
    pub returning: Returning,
    /// Whose users may be taken over.
    pub adopt: Adopt,
    /// Names that may be taken over when `adopt` is `Listed`.
    pub adopt_names: HashSet<String>,
    /// Names that may pass to another person at once.
    pub handover: HashSet<String>,
    /// Whether roles and traits given by hand follow a rename.
    pub carry_over: bool,
    /// What happens to a leaver's account.
    pub action: RemovalAction,
    /// Added to the longest credential life.
    pub lock_margin: SignedDuration,
    /// The brake.
    pub brake: Brake,
    /// Hashes of plans that a person approved.
    pub approvals: Vec<String>,
    /// Enforce or Preview.
    pub mode: Mode,
    /// Hash of all that decides who belongs; a changed one makes removals wait for approval.
    pub scope_hash: String,
}

/// Compiled trait rules.
#[derive(Debug)]
pub struct TraitRules {
    /// Put before each attribute name.
    pub prefix: String,
    /// Attributes that become traits …
    pub include: GlobSet,
    /// … but for these.
    pub exclude: GlobSet,
    /// Further traits under names of their own.
    pub map: Vec<TraitMapping>,
}

impl Policy {
    /// Reads `spec` of the resource `owner` (`namespace/name`). `approvals` are the plan hashes approved beside
    /// `spec.removal.approvedPlan` (by annotation).
    ///
    /// # Errors
    /// A glob or filter that cannot be read, a role that lies above the ceiling whatever it grants (P13).
    pub fn new(
        owner: &str,
        spec: &OktaUserSyncSpec,
        ceiling: &Ceiling,
        mut approvals: Vec<String>,
    ) -> Result<Self, Failure> {
        for role in &spec.users.roles {
            if !ceiling.may_allow(role) {
                return Err(refused(
                    ABOVE_CEILING,
                    format!(
                        "users.roles names {role:?}, which this operator may not give; it may give: {}",
                        ceiling.words()
                    ),
                    role::REMEDY,
                ));
            }
        }
        if !spec.removal.approved_plan.is_empty() {
            approvals.push(spec.removal.approved_plan.clone());
        }
        let traits = &spec.users.traits;
        Ok(Self {
            owner: owner.to_owned(),
            org_url: spec.okta.org_url.trim_end_matches('/').to_owned(),
            source: spec.scope.source,
            app_id: spec.scope.app_id.clone(),
            groups: spec.scope.groups.clone(),
            filter: Filter::compile(&spec.scope.filter)?,
            // Okta holds names that differ by letter case for equal, and whoever is named here must not be touched.
            exclude: globs("scope.exclude", &spec.scope.exclude, Case::Aside)?,
            connector: spec.teleport.connector.clone(),
            roles: spec.users.roles.clone(),
            ceiling: ceiling.clone(),
            traits: TraitRules {
                prefix: traits.prefix.clone(),
                include: globs("users.traits.include", &traits.include, Case::Counts)?,
                exclude: globs("users.traits.exclude", &traits.exclude, Case::Counts)?,
                map: traits.map.clone(),
            },
            suspended: spec.users.suspended,
            returning: spec.users.returning,
            adopt: spec.users.adopt,
            adopt_names: spec.users.adopt_names.iter().cloned().collect(),
            handover: spec.users.handover.iter().cloned().collect(),
            carry_over: spec.users.carry_over,
            action: spec.removal.action,
            lock_margin: SignedDuration::try_from(std::time::Duration::from(spec.removal.lock_margin))
                .unwrap_or(SignedDuration::from_hours(1)),
            brake: spec.removal.brake.clone(),
            approvals,
            mode: spec.mode,
            scope_hash: scope_hash(spec),
        })
    }

    /// The source with its app resolved: `app_id` of the specification, else the one that the connector names.
    ///
    /// # Errors
    /// People come from an app and neither names it.
    pub fn source(&self, connector_app: Option<String>) -> Result<PeopleSource, Failure> {
        match self.source {
            Source::Org => Ok(PeopleSource::Org),
            Source::Groups => Ok(PeopleSource::Groups(self.groups.clone())),
            Source::App => self.app_id.clone().or(connector_app).map(PeopleSource::App).ok_or_else(|| {
                refused(
                    "AppUnknown",
                    format!(
                        "scope.appID is not set, and the Teleport connector {:?} does not name an Okta app",
                        self.connector
                    ),
                    "set scope.appID to the id (0oa…) of the SAML app that the connector belongs to",
                )
            }),
        }
    }

    /// Groups that narrow a source that is not the groups themselves.
    #[must_use]
    pub fn narrowing_groups(&self) -> &[String] {
        if self.source == Source::Groups { &[] } else { &self.groups }
    }
}

fn scope_hash(spec: &OktaUserSyncSpec) -> String {
    let scope = &spec.scope;
    let words =
        format!("{:?}\n{:?}\n{:?}\n{}\n{:?}", scope.source, scope.app_id, scope.groups, scope.filter, scope.exclude);
    hex::encode(&Sha256::digest(words.as_bytes())[..8])
}

/// Whether letter case makes a difference.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Counts,
    Aside,
}

fn globs(field: &'static str, patterns: &[String], case: Case) -> Result<GlobSet, Failure> {
    let unreadable = |e: globset::Error| {
        refused("PatternUnreadable", format!("{field} holds a pattern that cannot be read: {e}"), "mend the pattern")
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).case_insensitive(case == Case::Aside).build().map_err(unreadable)?);
    }
    set.build().map_err(unreadable)
}

fn refused(reason: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Failure {
    Failure::new(Side::Here, Class::Configuration, reason, message, remedy)
}
