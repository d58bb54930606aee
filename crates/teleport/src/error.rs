//! What can go wrong with Teleport, as data.

use engine::failure::{Class, Failure, Side};
use tonic::Code;

use crate::{call::Call, denial::Denial, identity::IdentityError, join::refusal::JoinRefusal};

/// One thing that went wrong: [`class`](Self::class) and [`reason`](Self::reason) for programs, its text and
/// [`remedy`](Self::remedy) for people. Carries no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TeleportError {
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The address is no `host:port`.
    #[error("Teleport's address {address:?} cannot be read: {why}")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The host has no address.
    #[error("Teleport's host name cannot be resolved ({address}): {detail}")]
    Unresolved {
        /// Which.
        address: String,
        /// The resolver's words.
        detail: String,
    },
    /// Nobody listens there, or nothing answers.
    #[error("Teleport cannot be reached at {address}: {detail}")]
    Unreachable {
        /// Which.
        address: String,
        /// The system's words.
        detail: String,
    },
    /// Something listens there that does not speak TLS.
    #[error("what answers at {address} does not speak TLS")]
    NotTls {
        /// Which.
        address: String,
    },
    /// The server's certificate is not from the authority in the identity.
    #[error("the server at {address} does not prove that it belongs to the Teleport cluster {cluster}: {detail}")]
    ServerNotTrusted {
        /// Which.
        address: String,
        /// The identity's cluster.
        cluster: String,
        /// What the check said.
        detail: String,
    },
    /// The server offers no protocol that is spoken here.
    #[error(
        "the server at {address} is neither an Auth Service of {cluster} nor a Proxy that routes TLS to it: {detail}"
    )]
    NotTeleport {
        /// Which.
        address: String,
        /// The identity's cluster.
        cluster: String,
        /// What it answered.
        detail: String,
    },
    /// The web side of a Proxy does not answer as one.
    #[error("the web side of {address} does not answer as a Teleport Proxy: {detail}")]
    NotProxy {
        /// Which.
        address: String,
        /// What it answered.
        detail: String,
    },
    /// The TLS handshake broke off for another reason.
    #[error("the TLS handshake with {address} failed: {detail}")]
    Handshake {
        /// Which.
        address: String,
        /// What happened.
        detail: String,
    },
    /// The server does not take our certificate.
    #[error("Teleport refused the certificate of {user}: {detail}")]
    IdentityRefused {
        /// Whom the certificate names.
        user: String,
        /// The server's TLS alert.
        detail: String,
    },
    /// Our own user does not exist any more: from now on the server answers "not found" to everything.
    #[error("the user {user} of this operator's own identity no longer exists in Teleport")]
    IdentityGone {
        /// Our user name.
        user: String,
    },
    /// The server answered for somebody else than the certificate names.
    #[error("the certificate names {certificate}, but Teleport knows its holder as {server}")]
    IdentityDiffers {
        /// Name in the certificate.
        certificate: String,
        /// Name in the server's answer.
        server: String,
    },
    /// The connection ended in the middle of a call.
    #[error("the connection to Teleport ended during {}: {detail}", .call.method())]
    ConnectionLost {
        /// Which call.
        call: Call,
        /// What is known of it.
        detail: String,
    },
    /// No answer in time.
    #[error("Teleport did not answer {} within {seconds} s", .call.method())]
    Deadline {
        /// Which call.
        call: Call,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Not allowed.
    #[error("{}", .0.message())]
    Denied(Denial),
    /// Not let in.
    #[error("{}", .0.message())]
    Join(JoinRefusal),
    /// A role that a user should get does not exist.
    #[error("Teleport has no role {role:?}")]
    RoleMissing {
        /// Its name.
        role: String,
    },
    /// The server keeps the origin `okta` to the system role of that name.
    #[error("Teleport refused {} because of the origin label: {message}", .call.method())]
    Origin {
        /// Which call.
        call: Call,
        /// The server's words.
        message: String,
    },
    /// A user name that must not be written.
    #[error("the user name {name:?} cannot be used in Teleport: {why}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// Deleting this user would delete another one.
    #[error(
        "the user {name:?} is not deleted: Teleport would delete {other:?} with it, because that name begins with {name:?} and a slash"
    )]
    WouldDeleteOthers {
        /// Whom to delete.
        name: String,
        /// Who would go as well.
        other: String,
    },
    /// The server does not accept what was sent.
    #[error("Teleport refused {}: {message}", .call.method())]
    Refused {
        /// Which call.
        call: Call,
        /// The server's words.
        message: String,
    },
    /// The server has enough for now.
    #[error("Teleport is at its limit ({}): {message}", .call.method())]
    Busy {
        /// Which call.
        call: Call,
        /// The server's words.
        message: String,
    },
    /// The server does not know the call.
    #[error("this Teleport does not know the call {}", .call.method())]
    Unsupported {
        /// Which call.
        call: Call,
    },
    /// The server is older than what is understood here.
    #[error("Teleport {version} is too old: {oldest} is the oldest version that can be written to")]
    TooOld {
        /// The server's version.
        version: String,
        /// First major version that works.
        oldest: u64,
    },
    /// Any other answer.
    #[error("Teleport answered {} with {code:?}: {message}", .call.method())]
    Server {
        /// Which call.
        call: Call,
        /// gRPC code.
        code: Code,
        /// The server's words.
        message: String,
    },
    /// An answer that makes no sense.
    #[error("Teleport's answer to {} cannot be understood: {detail}", .call.method())]
    Nonsense {
        /// Which call.
        call: Call,
        /// What is wrong with it.
        detail: String,
    },
    /// This program would have sent something wrong.
    #[error("{} was not sent because it would have been wrong: {detail}", .call.method())]
    Unsendable {
        /// Which call.
        call: Call,
        /// What is wrong with it.
        detail: String,
    },
}

impl TeleportError {
    /// Kind of the failure; decides whether trying again can help.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Identity(error) => error.class(),
            Self::IdentityRefused { .. }
            | Self::IdentityGone { .. }
            | Self::IdentityDiffers { .. }
            | Self::ServerNotTrusted { .. } => Class::Credential,
            Self::Denied(_) => Class::Permission,
            Self::Join(refusal) => refusal.class(),
            Self::Address { .. }
            | Self::NotTls { .. }
            | Self::NotTeleport { .. }
            | Self::NotProxy { .. }
            | Self::RoleMissing { .. }
            | Self::Origin { .. }
            | Self::Name { .. }
            | Self::Refused { .. }
            | Self::Unsupported { .. }
            | Self::TooOld { .. } => Class::Configuration,
            Self::WouldDeleteOthers { .. } => Class::Conflict,
            Self::Busy { .. } => Class::Budget,
            Self::Unresolved { .. }
            | Self::Unreachable { .. }
            | Self::Handshake { .. }
            | Self::ConnectionLost { .. }
            | Self::Deadline { .. }
            | Self::Server { .. } => Class::Transient,
            Self::Nonsense { .. } | Self::Unsendable { .. } => Class::Bug,
        }
    }

    /// Word for a condition's reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Identity(error) => error.reason(),
            Self::Address { .. } => "TeleportAddressUnreadable",
            Self::Unresolved { .. } => "TeleportNameUnresolved",
            Self::Unreachable { .. } => "TeleportUnreachable",
            Self::NotTls { .. } | Self::NotTeleport { .. } => "NotTeleport",
            Self::NotProxy { .. } => "NotTeleportProxy",
            Self::ServerNotTrusted { .. } => "TeleportNotTrusted",
            Self::Handshake { .. } => "TeleportHandshakeFailed",
            Self::IdentityRefused { .. } => "IdentityRefused",
            Self::IdentityGone { .. } => "IdentityDeleted",
            Self::IdentityDiffers { .. } => "IdentityDiffers",
            Self::ConnectionLost { .. } => "TeleportConnectionLost",
            Self::Deadline { .. } => "TeleportTimeout",
            Self::Denied(denial) => denial.reason(),
            Self::Join(refusal) => refusal.reason(),
            Self::RoleMissing { .. } => "RoleMissing",
            Self::Origin { .. } => "OriginRefused",
            Self::Name { .. } => "UserNameRefused",
            Self::WouldDeleteOthers { .. } => "DeletionWouldTakeOthers",
            Self::Refused { .. } => "TeleportRefused",
            Self::Busy { .. } => "TeleportBusy",
            Self::Unsupported { .. } | Self::TooOld { .. } => "TeleportTooOld",
            Self::Server { .. } => "TeleportError",
            Self::Nonsense { .. } => "TeleportAnswerUnreadable",
            Self::Unsendable { .. } => "RequestRefusedHere",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Identity(error) => error.remedy(),
            Self::Denied(denial) => denial.remedy(),
            Self::Join(refusal) => refusal.remedy(),
            Self::RoleMissing { role } => format!(
                "create the role in Teleport (tctl create) or take {role:?} out of spec.users.roles; Community Edition has \
                 no okta-requester"
            ),
            Self::WouldDeleteOthers { other, .. } => {
                format!(
                    "decide what becomes of {other:?} (tctl users rm, or lock the first by hand); both stay until then"
                )
            }
            Self::TooOld { oldest, .. } => format!("upgrade Teleport to {oldest} or newer (17 and newer are tested)"),
            _ => self.fixed_remedy().to_owned(),
        }
    }

    fn fixed_remedy(&self) -> &'static str {
        match self {
            Self::Address { .. } => "give host:port of the Proxy (often :443) or of the Auth Service (often :3025)",
            Self::Unresolved { .. } => "check spec.teleport.address and the cluster's DNS",
            Self::Unreachable { .. } => {
                "check spec.teleport.address, that Teleport runs, and that a network policy or firewall lets this pod reach \
                 it; it is tried again by itself"
            }
            Self::NotTls { .. } | Self::NotTeleport { .. } => {
                "let spec.teleport.address name the Proxy (with TLS routing, auth_service: {proxy_listener_mode: multiplex}) or the \
                 Auth Service on port 3025, without anything in between that ends TLS"
            }
            Self::NotProxy { .. } => {
                "let spec.teleport.address name a Teleport Proxy whose web certificate is of an authority that this operator trusts (give a company's \
                 own with --teleport-web-ca)"
            }
            Self::ServerNotTrusted { .. } => {
                "check that address and identity belong to the same cluster (tctl status there); after a rotation of its host authority \
                 issue a new identity (tctl auth sign --format=file, or tbot)"
            }
            Self::Handshake { .. } => {
                "see whether Teleport is just starting, whether the identity is of this cluster, and what its log says of \
                 this connection; it is tried again by itself"
            }
            Self::IdentityRefused { .. } => {
                "compare the clocks of both sides; if they agree, issue a new identity (after a rotation of the user \
                 authority old ones are worthless)"
            }
            Self::IdentityGone { .. } => {
                "make the bot or user again and give its new identity to this operator; nothing is written until then"
            }
            Self::IdentityDiffers { .. } => "give an identity that Teleport issued to the operator's own bot or user",
            Self::Origin { .. } => {
                "users and locks of origin okta belong to Teleport's own Okta integration; either leave them to it, or run \
                 this operator with an identity of the system role Okta"
            }
            Self::Name { .. } => "give this person another user name in the Okta app, or exclude them",
            Self::Unsupported { .. } => "upgrade Teleport to 17 or newer",
            Self::Busy { .. } => "nothing: it is tried again more slowly; if it stays, lower the operator's write rate",
            Self::Refused { .. } => {
                "the message names what Teleport does not accept; mend it in Okta or in this resource"
            }
            Self::Nonsense { .. } | Self::Unsendable { .. } => {
                "this should not happen: please report it with this message"
            }
            _ => "nothing: it is tried again by itself; if it stays, see the log of Teleport's Auth Service",
        }
    }

    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn retry(&self) -> bool {
        self.class().retry()
    }
}

impl From<TeleportError> for Failure {
    fn from(error: TeleportError) -> Self {
        Self::new(Side::Teleport, error.class(), error.reason(), error.to_string(), error.remedy())
    }
}
