//! The calls that are made of Teleport, and the permission that each needs.

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `AuthService/Ping`.
    Ping,
    /// `AuthService/GetCurrentUser`.
    GetCurrentUser,
    /// `UsersService/GetUser`.
    GetUser,
    /// `UsersService/ListUsers`.
    ListUsers,
    /// `UsersService/CreateUser`.
    CreateUser,
    /// `UsersService/UpdateUser`.
    UpdateUser,
    /// `UsersService/DeleteUser`.
    DeleteUser,
    /// `AuthService/GetLocks`.
    GetLocks,
    /// `AuthService/UpsertLock`.
    UpsertLock,
    /// `AuthService/DeleteLock`.
    DeleteLock,
    /// `AuthService/ListRoles`.
    ListRoles,
    /// `AuthService/GetRoles`.
    GetRoles,
    /// `AuthService/GetSAMLConnector`.
    GetSamlConnector,
    /// `AuthService/GetSAMLConnectors`.
    GetSamlConnectors,
    /// `AuthService/GetClusterCACert`.
    GetClusterCaCert,
    /// `AuthService/GenerateUserCerts`.
    GenerateUserCerts,
    /// `teleport.join.v1.JoinService/Join`.
    Join,
    /// `proto.JoinService/RegisterUsingToken`.
    RegisterUsingToken,
    /// Joining by HTTP with JSON.
    RegisterByHttp,
}

impl Call {
    /// The method's name, as Teleport has it.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::Ping => "Ping",
            Self::GetCurrentUser => "GetCurrentUser",
            Self::GetUser => "GetUser",
            Self::ListUsers => "ListUsers",
            Self::CreateUser => "CreateUser",
            Self::UpdateUser => "UpdateUser",
            Self::DeleteUser => "DeleteUser",
            Self::GetLocks => "GetLocks",
            Self::UpsertLock => "UpsertLock",
            Self::DeleteLock => "DeleteLock",
            Self::ListRoles => "ListRoles",
            Self::GetRoles => "GetRoles",
            Self::GetSamlConnector => "GetSAMLConnector",
            Self::GetSamlConnectors => "GetSAMLConnectors",
            Self::GetClusterCaCert => "GetClusterCACert",
            Self::GenerateUserCerts => "GenerateUserCerts",
            Self::Join => "Join",
            Self::RegisterUsingToken => "RegisterUsingToken",
            Self::RegisterByHttp => "tokens/register",
        }
    }

    /// Whether it is one of the many writes of a pass, which leave room for all other calls.
    pub(crate) fn is_mass(self) -> bool {
        matches!(self, Self::CreateUser | Self::UpdateUser | Self::DeleteUser)
    }

    /// What the caller's role must allow: a kind of resource, and verbs on it. None for what anybody may call.
    #[must_use]
    pub fn rule(self) -> Option<(&'static str, &'static [&'static str])> {
        Some(match self {
            Self::Ping
            | Self::GetCurrentUser
            | Self::GetClusterCaCert
            | Self::GenerateUserCerts
            | Self::Join
            | Self::RegisterUsingToken
            | Self::RegisterByHttp => return None,
            Self::GetUser => ("user", &["read"]),
            Self::ListUsers => ("user", &["list", "read"]),
            Self::CreateUser => ("user", &["create"]),
            Self::UpdateUser => ("user", &["update"]),
            Self::DeleteUser => ("user", &["delete"]),
            Self::GetLocks => ("lock", &["list", "read"]),
            Self::UpsertLock => ("lock", &["create", "update"]),
            Self::DeleteLock => ("lock", &["delete"]),
            Self::ListRoles | Self::GetRoles => ("role", &["list", "read"]),
            Self::GetSamlConnector => ("saml", &["readnosecrets"]),
            Self::GetSamlConnectors => ("saml", &["list", "readnosecrets"]),
        })
    }
}

/// How often a method was called and answered with a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCount {
    /// Which.
    pub call: Call,
    /// gRPC code (`Ok`, `NotFound`, …), or `Unreached` when no answer came.
    pub code: &'static str,
    /// How often, since the client was made.
    pub count: u64,
}
