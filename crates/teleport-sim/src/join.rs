//! Joining with a provision token: who gets which certificates, for how long (reference §8, §16 D–F, §17).

use jiff::{SignedDuration, Timestamp};
use teleport_proto::types::RegisterUsingTokenRequest;

use crate::{
    Refusal, Version,
    authority::before,
    certify::{self, Keys},
    clock::from_wire,
    cluster::Cluster,
    identity::{Holder, Wanted},
    join_token::ProvisionToken,
    shared::Shared,
    user,
};

/// What a joined certificate lives, and at most.
const USUAL: SignedDuration = SignedDuration::from_hours(1);
const LONGEST: SignedDuration = SignedDuration::from_hours(12);
const HOST: SignedDuration = SignedDuration::from_hours(24 * 3650);

/// Who joins, with which keys, until when.
pub(crate) struct Applicant {
    pub(crate) role: String,
    pub(crate) token: String,
    pub(crate) jwt: String,
    pub(crate) host_id: String,
    pub(crate) keys: Keys,
    pub(crate) expires: Option<Timestamp>,
}

/// What came of it.
pub(crate) struct Joined {
    pub(crate) holder: Holder,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) keys: Keys,
}

impl Joined {
    pub(crate) fn wanted(&self) -> Wanted<'_> {
        Wanted { holder: &self.holder, not_before: self.not_before, not_after: self.not_after }
    }
}

impl Applicant {
    /// Reads the unary form, whose keys are PEM and `authorized_keys` text.
    pub(crate) fn read(request: &RegisterUsingTokenRequest, version: Version) -> Result<Self, Refusal> {
        let ssh = certify::from_authorized_key(&request.public_ssh_key)?;
        // The 15 line certifies a bot's SSH key for both purposes; newer ones want a TLS key of its own.
        let tls = if version == Version::V15 && request.role == "Bot" {
            ssh.clone()
        } else {
            certify::from_pem(&request.public_tls_key)?
        };
        Ok(Self {
            role: request.role.clone(),
            token: request.token.clone(),
            jwt: request.id_token.clone(),
            host_id: request.host_id.clone(),
            keys: Keys { ssh: Some(ssh), tls: Some(tls) },
            expires: from_wire(request.expires.as_ref()),
        })
    }

    /// Lets the applicant in, or says why not.
    pub(crate) fn join(self, shared: &Shared) -> Result<Joined, Refusal> {
        let token = shared.tokens().by_name.get(&self.token).cloned();
        let token = token.ok_or_else(|| Refusal::access_denied("token expired or not found"))?;
        let mut cluster = shared.cluster();
        cluster.settle();
        let now = cluster.now();
        if token.role != self.role {
            return Err(Refusal::bad_parameter(format!(
                "node can not join the cluster, the token does not allow {:?} role",
                self.role
            )));
        }
        token.verify(&self.jwt, &cluster.name, cluster.version, now.as_second())?;
        let (holder, not_after) = self.holder(&token, &cluster, now)?;
        if let Holder::User { name, roles } = &holder {
            cluster.certificates.add(name, roles.clone(), now, not_after);
        }
        Ok(Joined { holder, not_before: before(now.min(not_after)), not_after, keys: self.keys })
    }

    fn holder(
        &self,
        token: &ProvisionToken,
        cluster: &Cluster,
        now: Timestamp,
    ) -> Result<(Holder, Timestamp), Refusal> {
        if self.role != "Bot" {
            let host_id = if self.host_id.is_empty() { uuid::Uuid::new_v4().to_string() } else { self.host_id.clone() };
            return Ok((Holder::System { role: self.role.clone(), host_id }, now + HOST));
        }
        let name = format!("bot-{}", token.bot_name);
        if cluster.users.stored(&user::key(&name)).is_none() {
            return Err(Refusal::not_found(format!("user {name:?} not found")));
        }
        // An end in the past is taken as it is: a dead certificate without an error.
        let end = self.expires.unwrap_or(now + USUAL).min(now + LONGEST);
        Ok((Holder::User { roles: vec![name.clone()], name }, end))
    }
}
