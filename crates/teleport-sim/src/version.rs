//! Which Teleport this is: what each line of versions has, lacks and says (reference §15–17).

use serde::{Deserialize, Serialize};

/// A line of Teleport versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Version {
    /// 15, the first line with the users service.
    V15,
    /// 17, which the product targets first.
    #[default]
    V17,
    /// 18.
    V18,
    /// 19.
    V19,
}

impl Version {
    /// What Ping answers.
    #[must_use]
    pub fn server_version(self) -> &'static str {
        match self {
            Self::V15 => "15.0.0",
            Self::V17 => "17.0.0",
            Self::V18 => "18.0.0",
            Self::V19 => "19.0.0",
        }
    }

    /// Below this major version a client that names its version is cut off.
    #[must_use]
    pub fn oldest_client(self) -> u64 {
        match self {
            Self::V15 => 14,
            Self::V17 => 16,
            Self::V18 => 17,
            Self::V19 => 18,
        }
    }

    /// Update and Upsert refuse roles that do not exist, as Create always does.
    #[must_use]
    pub fn checks_roles_on_update(self) -> bool {
        self >= Self::V17
    }

    /// `ListRoles` is there.
    #[must_use]
    pub fn lists_roles_by_page(self) -> bool {
        self >= Self::V17
    }

    /// The old `GetRoles` is there still; it was marked for deletion in 17.
    #[must_use]
    pub fn lists_roles_at_once(self) -> bool {
        self <= Self::V17
    }

    /// A locked caller is told so, with the lock's message; else only `access denied`.
    #[must_use]
    pub fn tells_of_locks(self) -> bool {
        self == Self::V15
    }

    /// The system role `Okta` may read SAML connectors.
    #[must_use]
    pub fn okta_reads_connectors(self) -> bool {
        self >= Self::V17
    }

    /// User names `.` and `..` are refused.
    #[must_use]
    pub fn refuses_dot_names(self) -> bool {
        self >= Self::V17
    }

    /// `GenerateUserCerts` takes separate keys for SSH and TLS.
    #[must_use]
    pub fn splits_keys(self) -> bool {
        self >= Self::V17
    }

    /// The gRPC forms of joining are there.
    #[must_use]
    pub fn joins_by_grpc(self) -> bool {
        self >= Self::V18
    }

    /// The values that label `teleport.dev/origin` may have.
    #[must_use]
    pub fn origins(self) -> &'static [&'static str] {
        match self {
            Self::V15 => &["defaults", "config-file", "dynamic", "cloud", "kubernetes", "okta", "discovery-kubernetes"],
            Self::V17 => &[
                "defaults",
                "config-file",
                "dynamic",
                "cloud",
                "kubernetes",
                "okta",
                "scim",
                "discovery-kubernetes",
                "entra-id",
            ],
            Self::V18 | Self::V19 => &[
                "defaults",
                "config-file",
                "dynamic",
                "cloud",
                "kubernetes",
                "okta",
                "scim",
                "discovery-kubernetes",
                "entra-id",
                "aws-identity-center",
            ],
        }
    }
}

/// Which edition of Teleport this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Edition {
    /// SAML connectors and the preset roles `okta-requester` and `okta-access` exist.
    #[default]
    Enterprise,
    /// They do not.
    Community,
}
