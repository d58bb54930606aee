//! The gRPC services: each call finds its caller, asks the cluster, and puts the answer on the wire.

use std::sync::Arc;

use prost::Message as _;
use teleport_proto::{
    auth::{self, auth_service_server::AuthService},
    types,
    users::{self, users_service_server::UsersService},
};
use tonic::{Request, Response, Status, async_trait};

use crate::{Refusal, caller::Caller, gate::Peer, preset::name_of, shared::Shared};

/// Serves both services from the shared state.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) shared: Arc<Shared>,
}

/// Who calls.
fn caller<T>(request: &Request<T>) -> Arc<Caller> {
    request.extensions().get::<Peer>().map_or_else(|| Arc::new(Caller::Nobody), |peer| Arc::clone(&peer.caller))
}

/// The name of an encoded user, for the write log.
fn user_name(raw: &[u8]) -> String {
    types::UserV2::decode(raw).map(|user| name_of(user.metadata.as_ref())).unwrap_or_default()
}

fn done<T>(result: Result<T, Refusal>) -> Result<Response<T>, Status> {
    Ok(Response::new(result?))
}

#[async_trait]
impl UsersService for Api {
    async fn get_user(
        &self,
        request: Request<users::GetUserRequest>,
    ) -> Result<Response<users::GetUserResponse>, Status> {
        let (caller, asked) = (caller(&request), request.into_inner());
        let mut cluster = self.shared.cluster();
        let user = if asked.current_user {
            cluster.current_user(&caller)
        } else {
            cluster.get_user(&caller, &asked.name, asked.with_secrets)
        };
        done(user.map(|user| users::GetUserResponse { user }))
    }

    async fn list_users(
        &self,
        request: Request<users::ListUsersRequest>,
    ) -> Result<Response<users::ListUsersResponse>, Status> {
        let (caller, asked) = (caller(&request), request.into_inner());
        done(self.shared.cluster().list_users(&caller, &asked))
    }

    async fn create_user(
        &self,
        request: Request<users::CreateUserRequest>,
    ) -> Result<Response<users::CreateUserResponse>, Status> {
        let (caller, asked) = (caller(&request), request.into_inner());
        let name = user_name(&asked.user);
        let user = self
            .shared
            .cluster()
            .write(caller.name(), "CreateUser", &name, |cluster| cluster.create_user(&caller, &asked.user));
        done(user.map(|user| users::CreateUserResponse { user }))
    }

    async fn update_user(
        &self,
        request: Request<users::UpdateUserRequest>,
    ) -> Result<Response<users::UpdateUserResponse>, Status> {
        let (caller, asked) = (caller(&request), request.into_inner());
        let name = user_name(&asked.user);
        let user = self
            .shared
            .cluster()
            .write(caller.name(), "UpdateUser", &name, |cluster| cluster.update_user(&caller, &asked.user));
        done(user.map(|user| users::UpdateUserResponse { user }))
    }

    async fn upsert_user(
        &self,
        request: Request<users::UpsertUserRequest>,
    ) -> Result<Response<users::UpsertUserResponse>, Status> {
        let (caller, asked) = (caller(&request), request.into_inner());
        let name = user_name(&asked.user);
        let user = self
            .shared
            .cluster()
            .write(caller.name(), "UpsertUser", &name, |cluster| cluster.upsert_user(&caller, &asked.user));
        done(user.map(|user| users::UpsertUserResponse { user }))
    }

    async fn delete_user(&self, request: Request<users::DeleteUserRequest>) -> Result<Response<()>, Status> {
        let (caller, asked) = (caller(&request), request.into_inner());
        let name = &asked.name;
        done(
            self.shared
                .cluster()
                .write(caller.name(), "DeleteUser", name, |cluster| cluster.delete_user(&caller, name)),
        )
    }
}

#[async_trait]
impl AuthService for Api {
    async fn ping(&self, _: Request<auth::PingRequest>) -> Result<Response<auth::PingResponse>, Status> {
        let cluster = self.shared.cluster();
        Ok(Response::new(auth::PingResponse {
            cluster_name: cluster.name.clone(),
            server_version: cluster.version.server_version().to_owned(),
            ..Default::default()
        }))
    }

    async fn get_current_user(&self, request: Request<()>) -> Result<Response<types::UserV2>, Status> {
        let raw = self.shared.cluster().current_user(&caller(&request))?;
        Ok(Response::new(types::UserV2::decode(raw).unwrap_or_default()))
    }

    async fn get_lock(&self, request: Request<auth::GetLockRequest>) -> Result<Response<types::LockV2>, Status> {
        done(self.shared.cluster().get_lock(&caller(&request), &request.get_ref().name))
    }

    async fn get_locks(
        &self,
        request: Request<auth::GetLocksRequest>,
    ) -> Result<Response<auth::GetLocksResponse>, Status> {
        let locks = self.shared.cluster().get_locks(&caller(&request), request.get_ref());
        done(locks.map(|locks| auth::GetLocksResponse { locks }))
    }

    async fn upsert_lock(&self, request: Request<types::LockV2>) -> Result<Response<()>, Status> {
        let (caller, lock) = (caller(&request), request.into_inner());
        let name = name_of(lock.metadata.as_ref());
        done(
            self.shared
                .cluster()
                .write(caller.name(), "UpsertLock", &name, |cluster| cluster.upsert_lock(&caller, lock)),
        )
    }

    async fn delete_lock(&self, request: Request<auth::DeleteLockRequest>) -> Result<Response<()>, Status> {
        let (caller, asked) = (caller(&request), request.into_inner());
        let name = &asked.name;
        done(
            self.shared
                .cluster()
                .write(caller.name(), "DeleteLock", name, |cluster| cluster.delete_lock(&caller, name)),
        )
    }

    async fn get_role(&self, request: Request<auth::GetRoleRequest>) -> Result<Response<types::RoleV6>, Status> {
        done(self.shared.cluster().get_role(&caller(&request), &request.get_ref().name))
    }

    async fn get_roles(&self, request: Request<()>) -> Result<Response<auth::GetRolesResponse>, Status> {
        let roles = self.shared.cluster().get_roles(&caller(&request));
        done(roles.map(|roles| auth::GetRolesResponse { roles }))
    }

    async fn list_roles(
        &self,
        request: Request<auth::ListRolesRequest>,
    ) -> Result<Response<auth::ListRolesResponse>, Status> {
        done(self.shared.cluster().list_roles(&caller(&request), request.get_ref()))
    }

    async fn get_saml_connector(
        &self,
        request: Request<types::ResourceWithSecretsRequest>,
    ) -> Result<Response<types::SamlConnectorV2>, Status> {
        done(self.shared.cluster().get_connector(&caller(&request), request.get_ref()))
    }

    async fn get_saml_connectors(
        &self,
        request: Request<types::ResourcesWithSecretsRequest>,
    ) -> Result<Response<types::SamlConnectorV2List>, Status> {
        let connectors = self.shared.cluster().get_connectors(&caller(&request), *request.get_ref());
        done(connectors.map(|saml_connectors| types::SamlConnectorV2List { saml_connectors }))
    }

    async fn get_auth_preference(&self, request: Request<()>) -> Result<Response<types::AuthPreferenceV2>, Status> {
        done(self.shared.cluster().get_auth_preference(&caller(&request)))
    }

    async fn generate_user_certs(
        &self,
        request: Request<auth::UserCertsRequest>,
    ) -> Result<Response<auth::Certs>, Status> {
        let (caller, asked) = (caller(&request), request.into_inner());
        done(crate::certify::user_certs(&self.shared, &caller, &asked))
    }

    async fn get_cluster_ca_cert(&self, _: Request<()>) -> Result<Response<auth::GetClusterCaCertResponse>, Status> {
        Ok(Response::new(auth::GetClusterCaCertResponse { tls_ca: self.shared.pki().hosts.pem().into_bytes().into() }))
    }
}
