//! Reading and writing users, with the checks in the order in which Teleport makes them (reference §0, §1.2, §1.4, §15, §17).

use std::{ops::Bound, sync::Arc};

use bytes::Bytes;
use teleport_proto::{labels, types, users::ListUsersRequest, users::ListUsersResponse};
use tonic::Code;

use crate::{
    Refusal,
    caller::Caller,
    cluster::{CRASH, Cluster},
    user::{Draft, StoredUser, created_by, key},
};

/// Largest page of users.
const LARGEST_PAGE: usize = 1000;

/// `Must be Okta service …`: whoever is not the Okta service may not write its label.
pub(crate) const NOT_OKTA_SERVICE: &str = "Must be Okta service to set \"okta\" origin";

/// The Okta service must write its label.
pub(crate) const OKTA_SERVICE_WITHOUT_ORIGIN: &str = "Okta service must supply \"okta\" origin";

impl Cluster {
    pub(crate) fn create_user(&mut self, caller: &Caller, raw: &[u8]) -> Result<Bytes, Refusal> {
        self.require(caller, "user", &["create"])?;
        self.require_mfa(caller)?;
        let draft = present(raw)?;
        check_new_origin(caller, &draft)?;
        draft.validate(self.version)?;
        self.check_roles(&draft)?;
        let created_by = draft.creator().is_empty().then(|| created_by(caller.name(), Some(self.now())));
        let key = key(draft.name());
        if self.users.stored(&key).is_some() {
            return Err(Refusal::new(Code::AlreadyExists, format!("user {:?} already registered", draft.name())));
        }
        Ok(self.store_user(key, draft.seal(created_by)?))
    }

    pub(crate) fn update_user(&mut self, caller: &Caller, raw: &[u8]) -> Result<Bytes, Refusal> {
        self.require(caller, "user", &["update"])?;
        self.require_mfa(caller)?;
        let draft = present(raw)?;
        check_new_origin(caller, &draft)?;
        draft.validate(self.version)?;
        if self.version.checks_roles_on_update() {
            self.check_roles(&draft)?;
        }
        let key = key(draft.name());
        let stored = self.users.stored(&key).cloned().ok_or_else(Refusal::revision_mismatch)?;
        check_old_origin(caller, &stored, "update")?;
        if stored.revision != draft.revision() {
            return Err(Refusal::revision_mismatch());
        }
        Ok(self.store_user(key, draft.seal(stored.created_by())?))
    }

    pub(crate) fn upsert_user(&mut self, caller: &Caller, raw: &[u8]) -> Result<Bytes, Refusal> {
        self.require(caller, "user", &["create", "update"])?;
        self.require_mfa(caller)?;
        let draft = present(raw)?;
        check_new_origin(caller, &draft)?;
        draft.validate(self.version)?;
        if self.version.checks_roles_on_update() {
            self.check_roles(&draft)?;
        }
        let key = key(draft.name());
        if let Some(stored) = self.users.stored(&key) {
            check_old_origin(caller, stored, "update")?;
        }
        let created_by = draft.creator().is_empty().then(|| created_by(caller.name(), None));
        Ok(self.store_user(key, draft.seal(created_by)?))
    }

    /// Deletes a user and, as Teleport does, every user whose name begins with that name and a slash.
    pub(crate) fn delete_user(&mut self, caller: &Caller, name: &str) -> Result<(), Refusal> {
        self.require(caller, "user", &["delete"])?;
        self.require_mfa(caller)?;
        if name.is_empty() {
            return Err(Refusal::bad_parameter("missing user name"));
        }
        let stored = self.users.stored(&key(name)).ok_or_else(|| not_found(name))?;
        if caller.is_okta_service() && !stored.is_okta() {
            return Err(Refusal::access_denied("Okta service may only delete Okta resources"));
        }
        self.remove_user(name);
        Ok(())
    }

    /// Removes a user, and what its name is a prefix of.
    pub(crate) fn remove_user(&mut self, name: &str) {
        let prefix = key(name);
        let range = self.users.all().range(prefix.clone()..);
        let keys: Vec<String> = range.map(|(key, _)| key.clone()).take_while(|key| key.starts_with(&prefix)).collect();
        for key in keys {
            let visible = self.users_visible();
            self.users.remove(&key, visible);
        }
    }

    pub(crate) fn get_user(&mut self, caller: &Caller, name: &str, secrets: bool) -> Result<Bytes, Refusal> {
        self.settle();
        let own = matches!(caller, Caller::User { name: own, .. } if own == name);
        if !own {
            self.require(caller, "user", &["read"])?;
        }
        if secrets {
            return Err(Refusal::access_denied("this request can be only executed by an admin"));
        }
        if name.is_empty() {
            return Err(Refusal::bad_parameter("missing user name"));
        }
        self.users.read(&key(name)).map(|user| user.raw.clone()).ok_or_else(|| not_found(name))
    }

    pub(crate) fn list_users(
        &mut self,
        caller: &Caller,
        request: &ListUsersRequest,
    ) -> Result<ListUsersResponse, Refusal> {
        self.settle();
        self.require(caller, "user", &["list", "read"])?;
        if request.with_secrets {
            return Err(Refusal::access_denied("this request can be only executed by an admin"));
        }
        let size = usize::try_from(request.page_size)
            .ok()
            .filter(|size| (1..=LARGEST_PAGE).contains(size))
            .unwrap_or(LARGEST_PAGE);
        let filter =
            request.filter.as_ref().filter(|filter| !filter.search_keywords.is_empty() || filter.skip_system_users);
        let from = self.users.cache().range((Bound::Included(request.page_token.clone()), Bound::Unbounded));
        let mut found = from.map(|(_, user)| user).filter(|user| filter.is_none_or(|filter| passes(filter, user)));
        let page: Vec<&Arc<StoredUser>> = found.by_ref().take(size).collect();
        // The next key: '0' is the character that follows the '/' which ends a user's key.
        let next = if found.next().is_some() { page.last().map(|user| format!("{}0", user.name)) } else { None };
        Ok(ListUsersResponse {
            users: page.iter().map(|user| user.raw.clone()).collect(),
            next_page_token: next.unwrap_or_default(),
        })
    }

    /// The caller's own user.
    pub(crate) fn current_user(&mut self, caller: &Caller) -> Result<Bytes, Refusal> {
        match caller {
            Caller::Nobody => Err(Refusal::access_denied("access denied")),
            Caller::System { role, .. } => Err(Refusal::not_found(format!("role {role} is not found"))),
            Caller::User { name, .. } => self.get_user(caller, name, false),
        }
    }

    /// Stores a user and answers it as stored.
    pub(crate) fn store_user(&mut self, key: String, user: StoredUser) -> Bytes {
        let raw = user.raw.clone();
        let visible = self.users_visible();
        self.users.put(key, Arc::new(user), visible);
        self.settle();
        raw
    }

    /// Stores a user as if it had always been there: the caches know it at once.
    pub(crate) fn plant_user(&mut self, key: String, user: StoredUser) {
        self.users.put(key, Arc::new(user), std::time::Instant::now());
        self.settle();
    }

    fn check_roles(&self, draft: &Draft) -> Result<(), Refusal> {
        match draft.roles().iter().find(|role| !self.roles.contains_key(*role)) {
            Some(role) => Err(Refusal::not_found(format!("role {role} is not found"))),
            None => Ok(()),
        }
    }
}

/// The user that a request must carry. Without one, the real server dies; on the wire an absent user and one without any field look alike here.
fn present(raw: &[u8]) -> Result<Draft, Refusal> {
    if raw.is_empty() { Err(Refusal::new(Code::Unavailable, CRASH)) } else { Draft::read(raw) }
}

fn not_found(name: &str) -> Refusal {
    Refusal::not_found(format!("user {name:?} not found"))
}

fn check_new_origin(caller: &Caller, draft: &Draft) -> Result<(), Refusal> {
    match (caller.is_okta_service(), draft.is_okta()) {
        (true, false) => Err(Refusal::bad_parameter(OKTA_SERVICE_WITHOUT_ORIGIN)),
        (false, true) => Err(Refusal::bad_parameter(NOT_OKTA_SERVICE)),
        _ => Ok(()),
    }
}

fn check_old_origin(caller: &Caller, stored: &StoredUser, verb: &str) -> Result<(), Refusal> {
    match (caller.is_okta_service(), stored.is_okta()) {
        (true, false) => Err(Refusal::access_denied(format!("Okta service may only {verb} Okta resources"))),
        (false, true) => Err(Refusal::bad_parameter("Okta origin may not be changed")),
        _ => Ok(()),
    }
}

/// Whether a user passes the filter of a list: every word occurs in its name or in a label value.
fn passes(filter: &types::UserFilter, user: &StoredUser) -> bool {
    let message = user.message();
    let metadata = message.metadata.unwrap_or_default();
    if filter.skip_system_users && metadata.labels.get(labels::RESOURCE_TYPE).is_some_and(|kind| kind == "system") {
        return false;
    }
    let texts: Vec<String> =
        std::iter::once(&metadata.name).chain(metadata.labels.values()).map(|text| text.to_lowercase()).collect();
    filter.search_keywords.iter().all(|word| texts.iter().any(|text| text.contains(&word.to_lowercase())))
}
