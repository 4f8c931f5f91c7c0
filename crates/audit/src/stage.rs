//! How much is kept of a request, and at which moments.

/// How much is kept of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    None,
    /// Who, what and when.
    Metadata,
    /// And the request's object.
    Request,
    /// And the response's.
    RequestResponse,
}

impl Level {
    /// All names, as Kubernetes lists them.
    pub(crate) const NAMES: [&'static str; 4] = ["None", "Metadata", "Request", "RequestResponse"];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::None, Self::Metadata, Self::Request, Self::RequestResponse];
        all.into_iter().find(|level| level.name() == name)
    }
}

/// A moment in the life of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before anybody looks at it.
    RequestReceived,
    /// Head sent, body to come: watches and the like.
    ResponseStarted,
    /// Nothing more will be sent.
    ResponseComplete,
    /// The server failed in mid-request.
    Panic,
}

impl Stage {
    /// All names, as Kubernetes lists them.
    pub(crate) const NAMES: [&'static str; 4] =
        ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::RequestReceived, Self::ResponseStarted, Self::ResponseComplete, Self::Panic];
        all.into_iter().find(|stage| stage.name() == name)
    }
}
