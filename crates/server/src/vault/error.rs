//! Failures as Vault's clients read them: a status and `{"errors": [...]}`. The one place where core's errors become
//! the protocol's.

use std::fmt;

use axum::body::Body;
use hyper::{Response, StatusCode};
use keyturn_core::{
    StoreError,
    access_key::AccessKeyError,
    audit_devices::AuditDeviceError,
    barrier::BarrierError,
    ceremony::CeremonyError,
    cubbyhole::CubbyholeError,
    database::DatabaseError,
    door::Refusal,
    identity::{IdentityError, oidc::OidcError},
    key_rotation::KeyRotationError,
    kv::{DiffError, KvError},
    lease::{LeaseError, NotIssued},
    login::{
        IssueError,
        approle::AppRoleError,
        cert::CertError,
        jwt::JwtError,
        kubernetes::KubernetesError,
        userpass::{PasswordError, UserPassError},
    },
    mount::{Engine, MountError},
    node::NodeError,
    password::PasswordPolicyStoreError,
    policies::PolicyError,
    quota::QuotaError,
    rotation::RotationError,
    seal::SealError,
    settings::{AuditedHeaderError, CorsError, HeaderError},
    snapshot::SnapshotError,
    storage::StorageError,
    token::TokenError,
    tools::RandomBytesError,
    wrapping::WrappingError,
};
use serde::Serialize;

use super::reply;

/// An answer that says what was wrong.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    errors: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    errors: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, errors: vec![error.into()], warnings: Vec::new() }
    }

    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission denied")
    }

    /// Nothing is there: Vault says so without a word.
    pub(super) fn nothing() -> Self {
        Self { status: StatusCode::NOT_FOUND, errors: Vec::new(), warnings: Vec::new() }
    }

    /// The path is none of the engine's.
    pub(super) fn unsupported_path(engine: Engine) -> Self {
        let warnings = if engine == Engine::Kv2 {
            vec![
                "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints \
                 to use. If using the Vault CLI, use 'vault kv get' for this operation."
                    .to_owned(),
            ]
        } else {
            Vec::new()
        };
        let errors = if warnings.is_empty() { vec!["unsupported path".to_owned()] } else { Vec::new() };
        Self { status: StatusCode::NOT_FOUND, errors, warnings }
    }

    /// The path takes other operations.
    pub(super) fn unsupported_operation() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "unsupported operation")
    }

    /// Our fault: the details go to the server's log, under the request's id.
    pub(super) fn internal(error: &dyn fmt::Display, request_id: &str) -> Self {
        tracing::error!(%error, request_id, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error: see the server's log")
    }

    /// What it says, for the audit log.
    pub(super) fn text(&self) -> String {
        self.errors.join("; ")
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let body =
            serde_json::to_vec(&ErrorBody { errors: &self.errors, warnings: &self.warnings }).unwrap_or_default();
        reply::json(self.status, body.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::internal(&error, "")
    }
}

impl From<BarrierError> for Failure {
    fn from(error: BarrierError) -> Self {
        Self::internal(&error, "")
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied => Self::denied(),
            Refusal::NotWrapping => Self::bad_request(refusal.to_string()),
            Refusal::NoRoute(_) => Self::new(StatusCode::NOT_FOUND, refusal.to_string()),
            Refusal::NotAudited => Self::internal(&refusal, ""),
            Refusal::Store(error) => error.into(),
        }
    }
}

impl From<KvError> for Failure {
    fn from(error: KvError) -> Self {
        match error {
            KvError::NotFound => Self::nothing(),
            KvError::UnsupportedPath => Self::unsupported_path(Engine::Kv2),
            KvError::Denied => Self::denied(),
            KvError::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            KvError::Store(error) => error.into(),
            KvError::InvalidName { .. } | KvError::CasMismatch | KvError::CasRequired | KvError::Invalid(_) => {
                Self::bad_request(error.to_string())
            }
        }
    }
}

impl From<DiffError> for Failure {
    fn from(error: DiffError) -> Self {
        match error {
            DiffError::Kv(error) => error.into(),
            DiffError::NoVersion(_) | DiffError::Gone { .. } | DiffError::Alone(_) => {
                Self::bad_request(error.to_string())
            }
        }
    }
}

impl From<CubbyholeError> for Failure {
    fn from(error: CubbyholeError) -> Self {
        match error {
            CubbyholeError::Denied => Self::denied(),
            CubbyholeError::Entry(error) => error.into(),
            CubbyholeError::Store(error) => error.into(),
            CubbyholeError::BatchToken | CubbyholeError::Full => Self::bad_request(error.to_string()),
        }
    }
}

impl From<WrappingError> for Failure {
    fn from(error: WrappingError) -> Self {
        match error {
            WrappingError::Store(error) => error.into(),
            WrappingError::NotWrapping | WrappingError::NotAsked => Self::bad_request(error.to_string()),
        }
    }
}

impl From<LeaseError> for Failure {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<NotIssued> for Failure {
    fn from(error: NotIssued) -> Self {
        match error {
            NotIssued::Store(error) => error.into(),
            NotIssued::Denied => Self::denied(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::BadToken => Self::new(StatusCode::FORBIDDEN, "bad token"),
            TokenError::Store(error) => error.into(),
            TokenError::Invalid(_) | TokenError::NotFound(_) => Self::bad_request(error.to_string()),
        }
    }
}

impl From<AccessKeyError> for Failure {
    fn from(error: AccessKeyError) -> Self {
        match error {
            AccessKeyError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            AccessKeyError::Invalid(_) | AccessKeyError::Temporary => Self::bad_request(error.to_string()),
            AccessKeyError::Token(error) => error.into(),
            AccessKeyError::Store(error) => error.into(),
        }
    }
}

impl From<RotationError> for Failure {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::NotFound => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            RotationError::Store(error) => error.into(),
            RotationError::Name(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<IssueError> for Failure {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Token(error) => error.into(),
            IssueError::Identity(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Disabled => Self::denied(),
            IdentityError::Store(error) => error.into(),
            IdentityError::Invalid(_) => Self::bad_request(error.to_string()),
        }
    }
}

impl From<OidcError> for Failure {
    fn from(error: OidcError) -> Self {
        match error {
            OidcError::Store(error) => error.into(),
            OidcError::Signing => Self::internal(&error, ""),
            OidcError::Invalid(_) => Self::bad_request(error.to_string()),
        }
    }
}

impl From<AppRoleError> for Failure {
    fn from(error: AppRoleError) -> Self {
        match error {
            AppRoleError::UnsupportedPath => Self::unsupported_path(Engine::AppRole),
            AppRoleError::NoRole(_) | AppRoleError::NoAccessor(_) => {
                Self::new(StatusCode::NOT_FOUND, error.to_string())
            }
            AppRoleError::Locked => Self::denied(),
            AppRoleError::Issue(error) => error.into(),
            AppRoleError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<UserPassError> for Failure {
    fn from(error: UserPassError) -> Self {
        match error {
            UserPassError::UnsupportedPath => Self::unsupported_path(Engine::UserPass),
            UserPassError::NoUser => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            UserPassError::Denied => Self::denied(),
            UserPassError::Password(PasswordError::Failed(_)) => Self::internal(&error, ""),
            UserPassError::Issue(error) => error.into(),
            UserPassError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<JwtError> for Failure {
    fn from(error: JwtError) -> Self {
        match error {
            JwtError::UnsupportedPath => Self::unsupported_path(Engine::Jwt),
            JwtError::Denied => Self::denied(),
            JwtError::Issue(error) => error.into(),
            JwtError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::UnsupportedPath => Self::unsupported_path(Engine::Database),
            DatabaseError::Denied => Self::denied(),
            DatabaseError::Lease(error) => error.into(),
            DatabaseError::Store(error) => error.into(),
            // As Vault: what the database or its connection stands in the way of is no fault of the request.
            DatabaseError::NotAllowed(_)
            | DatabaseError::Target(_)
            | DatabaseError::Root(_)
            | DatabaseError::Refused(_)
            | DatabaseError::Rotation(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            DatabaseError::Create(_)
            | DatabaseError::Invalid(_)
            | DatabaseError::NoRole(_)
            | DatabaseError::NoStaticRole
            | DatabaseError::NoConnection(_)
            | DatabaseError::Username(_)
            | DatabaseError::Password(_) => Self::bad_request(error.to_string()),
        }
    }
}

impl From<KubernetesError> for Failure {
    fn from(error: KubernetesError) -> Self {
        match error {
            KubernetesError::UnsupportedPath => Self::unsupported_path(Engine::Kubernetes),
            KubernetesError::Denied => Self::denied(),
            KubernetesError::Refused(text) => Self::new(StatusCode::FORBIDDEN, text),
            KubernetesError::Issue(error) => error.into(),
            KubernetesError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<CertError> for Failure {
    fn from(error: CertError) -> Self {
        match error {
            CertError::UnsupportedPath => Self::unsupported_path(Engine::Cert),
            CertError::Denied => Self::denied(),
            CertError::Issue(error) => error.into(),
            CertError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<MountError> for Failure {
    fn from(error: MountError) -> Self {
        match error {
            MountError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<PasswordPolicyStoreError> for Failure {
    fn from(error: PasswordPolicyStoreError) -> Self {
        match error {
            PasswordPolicyStoreError::NotFound => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            PasswordPolicyStoreError::Store(error) => error.into(),
            PasswordPolicyStoreError::Generate(_) => Self::internal(&error, ""),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<RandomBytesError> for Failure {
    fn from(error: RandomBytesError) -> Self {
        match error {
            RandomBytesError::Random => Self::internal(&error, ""),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<QuotaError> for Failure {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<CorsError> for Failure {
    fn from(error: CorsError) -> Self {
        match error {
            CorsError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<HeaderError> for Failure {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<AuditedHeaderError> for Failure {
    fn from(error: AuditedHeaderError) -> Self {
        match error {
            AuditedHeaderError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<AuditDeviceError> for Failure {
    fn from(error: AuditDeviceError) -> Self {
        match error {
            AuditDeviceError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Seal(SealError::Barrier(error)) => error.into(),
            NodeError::Seal(error) => Self::bad_request(error.to_string()),
            NodeError::NoShares | NodeError::NoMigration | NodeError::MigrationPending => {
                Self::bad_request(error.to_string())
            }
            NodeError::Open(_) | NodeError::Random(_) => Self::internal(&error, ""),
        }
    }
}

impl From<CeremonyError> for Failure {
    fn from(error: CeremonyError) -> Self {
        match error {
            CeremonyError::NotReady(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed"),
            CeremonyError::Seal(SealError::Barrier(error)) => error.into(),
            CeremonyError::Token(error) => error.into(),
            CeremonyError::Random(error) => Self::internal(&error, ""),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<KeyRotationError> for Failure {
    fn from(error: KeyRotationError) -> Self {
        match error {
            KeyRotationError::Store(error) => error.into(),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Sealed => Self::new(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed"),
            SnapshotError::Barrier(BarrierError::Storage(StorageError::Source(_))) => {
                Self::bad_request(error.to_string())
            }
            SnapshotError::Barrier(error) => error.into(),
            SnapshotError::Read(_) => Self::internal(&error, ""),
            error => Self::bad_request(error.to_string()),
        }
    }
}
