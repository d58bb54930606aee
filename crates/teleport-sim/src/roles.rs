//! Reading roles, connectors and the auth preference (reference §3, §4, §15–17).

use std::ops::Bound;

use teleport_proto::{auth, types};

use crate::{Refusal, caller::Caller, cluster::Cluster};

/// Largest page of roles, and the page when none is asked for.
const LARGEST_PAGE: i32 = 16_000;
const DEFAULT_PAGE: usize = 100;

impl Cluster {
    pub(crate) fn get_role(&mut self, caller: &Caller, name: &str) -> Result<types::RoleV6, Refusal> {
        // A user may always read the roles that its certificate names.
        let own = matches!(caller, Caller::User { roles, .. } if roles.iter().any(|role| role == name));
        if !own {
            self.require(caller, "role", &["read"])?;
        }
        self.roles.get(name).cloned().ok_or_else(|| Refusal::not_found(format!("role {name} is not found")))
    }

    pub(crate) fn get_roles(&mut self, caller: &Caller) -> Result<Vec<types::RoleV6>, Refusal> {
        if !self.version.lists_roles_at_once() {
            return Err(Refusal::unimplemented("GetRoles"));
        }
        self.require(caller, "role", &["list", "read"])?;
        Ok(self.roles.values().cloned().collect())
    }

    pub(crate) fn list_roles(
        &mut self,
        caller: &Caller,
        request: &auth::ListRolesRequest,
    ) -> Result<auth::ListRolesResponse, Refusal> {
        if !self.version.lists_roles_by_page() {
            return Err(Refusal::unimplemented("ListRoles"));
        }
        self.require(caller, "role", &["list", "read"])?;
        if request.limit > LARGEST_PAGE {
            return Err(Refusal::bad_parameter(format!("page size of {} is too large", request.limit)));
        }
        let size = usize::try_from(request.limit).ok().filter(|size| *size > 0).unwrap_or(DEFAULT_PAGE);
        let words = request.filter.as_ref().map(|filter| filter.search_keywords.as_slice()).unwrap_or_default();
        let passes = |name: &str| words.iter().all(|word| name.to_lowercase().contains(&word.to_lowercase()));
        let from = self.roles.range((Bound::Included(request.start_key.clone()), Bound::Unbounded));
        let mut found = from.filter(|(name, _)| passes(name));
        let roles = found.by_ref().take(size).map(|(_, role)| role.clone()).collect();
        Ok(auth::ListRolesResponse { roles, next_key: found.next().map(|(name, _)| name.clone()).unwrap_or_default() })
    }

    pub(crate) fn get_connector(
        &mut self,
        caller: &Caller,
        request: &types::ResourceWithSecretsRequest,
    ) -> Result<types::SamlConnectorV2, Refusal> {
        self.require(caller, "saml", &[if request.with_secrets { "read" } else { "readnosecrets" }])?;
        let missing = || Refusal::not_found(format!("SAML connector {:?} is not configured", request.name));
        self.connectors.get(&request.name).cloned().ok_or_else(missing)
    }

    pub(crate) fn get_connectors(
        &mut self,
        caller: &Caller,
        request: types::ResourcesWithSecretsRequest,
    ) -> Result<Vec<types::SamlConnectorV2>, Refusal> {
        self.require(caller, "saml", &["list", if request.with_secrets { "read" } else { "readnosecrets" }])?;
        Ok(self.connectors.values().cloned().collect())
    }

    /// Every known caller may read it: Teleport's implicit role says so.
    pub(crate) fn get_auth_preference(&mut self, caller: &Caller) -> Result<types::AuthPreferenceV2, Refusal> {
        caller.known()?;
        Ok(self.auth_preference.clone())
    }
}
