//! What a fresh cluster holds: preset roles, a connector, the operator's bot and an administrator (reference §3, §4, §17).

use std::collections::BTreeMap;

use jiff::Timestamp;
use prost::Message as _;
use teleport_proto::{labels, types, wrappers};

use crate::{clock::to_wire, version::Edition};

/// The bot's name without its prefix.
pub(crate) const BOT: &str = "okta-user-sync";
/// The user behind the bot.
pub(crate) const BOT_USER: &str = "bot-okta-user-sync";
/// The role that the bot's certificates carry.
pub(crate) const BOT_ROLE: &str = "okta-user-sync";
/// The administrator.
pub(crate) const ADMIN_USER: &str = "admin";
/// The administrator's roles.
pub(crate) const ADMIN_ROLES: [&str; 3] = ["access", "auditor", "editor"];

/// Nanoseconds of an hour, the unit of session lifetimes being nanoseconds.
const HOUR: i64 = 3_600_000_000_000;

/// The roles of a fresh cluster, and the two of the operator's bot.
pub(crate) fn roles(edition: Edition) -> BTreeMap<String, types::RoleV6> {
    let read_write: &[&str] = &["list", "create", "read", "update", "delete"];
    let all: &[&str] = &["user", "lock", "role", "saml", "token", "bot", "cluster_auth_preference"];
    let mut roles = vec![
        access(),
        role(
            "auditor",
            "Review cluster events and replay sessions",
            &[("session", &["list", "read"]), ("event", &["list", "read"])],
        ),
        role("editor", "Edit cluster configuration", &all.iter().map(|kind| (*kind, read_write)).collect::<Vec<_>>()),
        role("terraform-provider", "Default Terraform provider role", &[("user", read_write), ("role", read_write)]),
        bot_role(),
        impersonator(),
    ];
    if edition == Edition::Enterprise {
        roles.push(okta_requester());
        roles.push(okta_access());
    }
    roles.into_iter().map(|role| (name_of(role.metadata.as_ref()), role)).collect()
}

/// The role that reference §11 recommends for the bot.
pub(crate) fn bot_role() -> types::RoleV6 {
    let all: &[&str] = &["list", "read", "create", "update", "delete"];
    role(
        BOT_ROLE,
        "Keep users in step with Okta",
        &[("user", all), ("lock", all), ("role", &["list", "read"]), ("saml", &["list", "readnosecrets"])],
    )
}

/// The bot's own role, which does nothing but impersonate.
fn impersonator() -> types::RoleV6 {
    let mut role = role(BOT_USER, "Automatically generated role for bot okta-user-sync", &[]);
    allow(&mut role, |allow| {
        allow.impersonate =
            Some(types::ImpersonateConditions { roles: vec![BOT_ROLE.to_owned()], ..Default::default() });
    });
    role
}

fn access() -> types::RoleV6 {
    let mut role = role("access", "Access cluster resources", &[]);
    let all = wrappers::StringValues { values: vec!["*".to_owned()] };
    allow(&mut role, |allow| {
        allow.logins = vec!["{{internal.logins}}".to_owned()];
        allow.node_labels = Some(wrappers::LabelValues { values: [("*".to_owned(), all)].into() });
    });
    role
}

fn okta_requester() -> types::RoleV6 {
    let mut role = system(role("okta-requester", "Request Okta resources", &[]));
    allow(&mut role, |allow| {
        allow.request = Some(types::AccessRequestConditions {
            search_as_roles: vec!["okta-access".to_owned()],
            max_duration: 14 * 24 * HOUR,
            ..Default::default()
        });
    });
    role
}

fn okta_access() -> types::RoleV6 {
    let mut role = system(role("okta-access", "Access Okta resources", &[("user_group", &["list", "read"])]));
    let okta = wrappers::StringValues { values: vec![labels::ORIGIN_OKTA.to_owned()] };
    let matching = wrappers::LabelValues { values: [(labels::ORIGIN.to_owned(), okta)].into() };
    allow(&mut role, |allow| {
        allow.app_labels = Some(matching.clone());
        allow.group_labels = Some(matching);
    });
    role
}

fn system(mut role: types::RoleV6) -> types::RoleV6 {
    if let Some(metadata) = role.metadata.as_mut() {
        metadata.labels.insert(labels::RESOURCE_TYPE.to_owned(), "system".to_owned());
        metadata.labels.insert(labels::ORIGIN.to_owned(), labels::ORIGIN_OKTA.to_owned());
    }
    role
}

/// Changes what a role allows; what is not known of it stays out.
pub(crate) fn allow(role: &mut types::RoleV6, change: impl FnOnce(&mut types::RoleConditions)) {
    let mut allowed = allowed(role);
    change(&mut allowed);
    role.spec.get_or_insert_default().allow = allowed.encode_to_vec().into();
}

/// What a role allows, as far as it is known here.
pub(crate) fn allowed(role: &types::RoleV6) -> types::RoleConditions {
    let encoded = role.spec.as_ref().map(|spec| spec.allow.clone()).unwrap_or_default();
    types::RoleConditions::decode(encoded).unwrap_or_default()
}

/// A role with allow rules and Teleport's default session lifetime of 30 hours.
pub(crate) fn role(name: &str, description: &str, rules: &[(&str, &[&str])]) -> types::RoleV6 {
    let rules = rules.iter().map(|(kind, verbs)| types::Rule {
        resources: vec![(*kind).to_owned()],
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..Default::default()
    });
    // As the server completes a role: the namespace of all, and labels that are there and say nothing.
    let allowed = types::RoleConditions {
        namespaces: vec!["default".to_owned()],
        node_labels: Some(wrappers::LabelValues::default()),
        app_labels: Some(wrappers::LabelValues::default()),
        rules: rules.collect(),
        ..Default::default()
    };
    types::RoleV6 {
        kind: "role".to_owned(),
        version: "v7".to_owned(),
        metadata: Some(types::Metadata {
            name: name.to_owned(),
            namespace: "default".to_owned(),
            description: description.to_owned(),
            revision: uuid::Uuid::new_v4().to_string(),
            ..Default::default()
        }),
        spec: Some(types::RoleSpecV6 {
            options: Some(types::RoleOptions { max_session_ttl: 30 * HOUR, ..Default::default() }),
            allow: allowed.encode_to_vec().into(),
            deny: Some(types::RoleConditions::default()),
        }),
        ..Default::default()
    }
}

/// A SAML connector tied to an Okta app by Teleport's label.
pub(crate) fn connector(name: &str, okta_app_id: &str) -> types::SamlConnectorV2 {
    let mut metadata = types::Metadata { name: name.to_owned(), namespace: "default".to_owned(), ..Default::default() };
    if !okta_app_id.is_empty() {
        metadata.labels.insert(labels::OKTA_APP_ID.to_owned(), okta_app_id.to_owned());
    }
    metadata.revision = uuid::Uuid::new_v4().to_string();
    types::SamlConnectorV2 {
        kind: "saml".to_owned(),
        version: "v2".to_owned(),
        metadata: Some(metadata),
        spec: Some(types::SamlConnectorSpecV2 {
            issuer: format!("http://www.okta.com/{okta_app_id}"),
            display: "Okta".to_owned(),
            provider: "okta".to_owned(),
            attributes_to_roles: vec![types::AttributeMapping {
                name: "groups".to_owned(),
                value: "okta-requester".to_owned(),
                roles: vec!["okta-requester".to_owned()],
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// How a fresh cluster authenticates: second factors on, certificates for 12 hours.
pub(crate) fn auth_preference() -> types::AuthPreferenceV2 {
    types::AuthPreferenceV2 {
        kind: "cluster_auth_preference".to_owned(),
        version: "v2".to_owned(),
        metadata: Some(types::Metadata { name: "cluster-auth-preference".to_owned(), ..Default::default() }),
        spec: Some(types::AuthPreferenceSpecV2 {
            r#type: "local".to_owned(),
            second_factor: "on".to_owned(),
            locking_mode: "best_effort".to_owned(),
            default_session_ttl: 12 * HOUR,
            second_factors: vec![1, 2],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The users of a fresh cluster: the bot, the administrator and, on Enterprise, a system user.
pub(crate) fn users(edition: Edition, now: Timestamp) -> Vec<Vec<u8>> {
    let bot = [(labels::BOT, BOT), (labels::BOT_GENERATION, "1")];
    let mut users = vec![user(BOT_USER, &[BOT_USER], &bot, now), user(ADMIN_USER, &ADMIN_ROLES, &[], now)];
    if edition == Edition::Enterprise {
        users.push(user("@teleport-access-approval-bot", &[], &[(labels::RESOURCE_TYPE, "system")], now));
    }
    users
}

/// Local users that have been there for long, encoded: the same number and seed make the same ones.
pub(crate) fn residents(people: usize, seed: u64, now: Timestamp) -> impl Iterator<Item = Vec<u8>> {
    (1..=people).map(move |n| user(&format!("resident.{seed}.{n}@example.com"), &["access"], &[], now))
}

/// A local user, encoded.
fn user(name: &str, roles: &[&str], labels: &[(&str, &str)], now: Timestamp) -> Vec<u8> {
    let metadata = types::Metadata {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..Default::default()
    };
    let unset = Some(teleport_proto::time::go_zero());
    let spec = types::UserSpecV2 {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        traits: Some(wrappers::LabelValues::default()),
        status: Some(types::LoginStatus { locked_time: unset, lock_expires: unset, ..Default::default() }),
        expires: unset,
        created_by: Some(types::CreatedBy {
            time: Some(to_wire(now)),
            user: Some(types::UserRef { name: "system".to_owned() }),
            connector: None,
        }),
        ..Default::default()
    };
    let user = types::UserV2 {
        kind: "user".to_owned(),
        version: "v2".to_owned(),
        metadata: Some(metadata),
        spec: Some(spec),
        status: Some(types::UserStatusV2 { password_state: 1, mfa_weakest_device: 1 }),
        ..Default::default()
    };
    user.encode_to_vec()
}

/// The name in a resource's metadata.
pub(crate) fn name_of(metadata: Option<&types::Metadata>) -> String {
    metadata.map(|metadata| metadata.name.clone()).unwrap_or_default()
}
