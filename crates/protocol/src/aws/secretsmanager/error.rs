//! The names of errors.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// An error's name, as it stands in `__type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name),*
        }

        impl ErrorCode {
            /// The name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

codes! {
    /// The caller may not do it.
    AccessDeniedException,
    /// A value could not be opened.
    DecryptionFailure,
    /// A value could not be sealed.
    EncryptionFailure,
    /// It is the server's fault.
    InternalServiceError,
    /// A page token is none of ours.
    InvalidNextTokenException,
    /// A parameter contradicts a rule.
    InvalidParameterException,
    /// The secret is not in a state for it.
    InvalidRequestException,
    /// More than is allowed.
    LimitExceededException,
    /// The text is no access policy.
    MalformedPolicyDocumentException,
    /// The access policy is for everybody.
    PublicPolicyException,
    /// It is there already.
    ResourceExistsException,
    /// It is not there.
    ResourceNotFoundException,
    /// The body is no JSON object, or a member has another type.
    SerializationException,
    /// The server cannot answer now.
    ServiceUnavailableException,
    /// There is no such operation.
    UnknownOperationException,
    /// A constraint of the model does not hold.
    ValidationException,
}

impl ErrorCode {
    /// The HTTP status: 400 for all that is the client's fault.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InternalServiceError => 500,
            Self::ServiceUnavailableException => 503,
            _ => 400,
        }
    }
}
