//! `authorizer`: questions that policies ask about who may do what.

/// Answers questions.
pub trait Authorizer {
    /// Whether it is allowed, and why.
    fn decide(&self, question: &Question) -> Answer;
}

/// A question, built up by `authorizer.group('').resource('pods')…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// How far it is built.
    pub stage: Stage,
    /// `namespace/name` of the service account to ask about, instead of the user of the request.
    pub service_account: Option<(String, String)>,
    /// A path, if about one.
    pub path: String,
    /// API group.
    pub group: String,
    /// Plural resource.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Object name.
    pub name: String,
    /// What is to be done.
    pub verb: String,
    /// Once asked.
    pub answer: Answer,
}

/// How far a question is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// `authorizer`
    #[default]
    Start,
    /// `.path(…)`
    Path,
    /// `.group(…)`
    Group,
    /// `.resource(…)`
    Resource,
    /// `.check(…)`
    Decision,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// May be done.
    pub allowed: bool,
    /// Why.
    pub reason: String,
    /// Could not be decided.
    pub error: String,
}

impl Question {
    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        match self.stage {
            Stage::Start => "kubernetes.authorization.Authorizer",
            Stage::Path => "kubernetes.authorization.PathCheck",
            Stage::Group => "kubernetes.authorization.GroupCheck",
            Stage::Resource => "kubernetes.authorization.ResourceCheck",
            Stage::Decision => "kubernetes.authorization.Decision",
        }
    }
}
