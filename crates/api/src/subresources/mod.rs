//! Subresources: `status`, `scale`, and those that are actions or connections.

mod bind;
mod connect;
mod evict;
mod scale;
mod token;

use crate::call::{Call, Target};
use crate::respond::Answer;
use crate::serve::not_allowed;
use crate::verbs;
use http::Method;
use kinds::Verb;
use object::{ApiError, Result};

pub(crate) use bind::named as bind_named;

/// Answers a request to a subresource.
pub(crate) async fn answer(call: Call, mut target: Target) -> Result<Answer> {
    let verb = match call.method {
        Method::GET => Verb::Get,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        // Whatever a client says to what it is connected to.
        _ if connect::is_connect(&target) => Verb::Get,
        _ => return Err(not_allowed()),
    };
    let known = target.subresource().is_some_and(|s| s.verbs.contains(&verb));
    let connects = connect::is_connect(&target);
    if !known && !connects {
        return Err(if target.resource.custom { not_supported(&target, verb) } else { not_allowed() });
    }
    match (target.at.subresource.as_str(), verb) {
        _ if connects => connect::answer(call, target).await,
        ("scale", _) => scale::answer(&call, &target, verb).await,
        ("binding", _) => bind::answer(&call, &target).await,
        ("eviction", _) => evict::answer(&call, &target).await,
        ("token", _) => token::answer(&call, &target).await,
        (_, Verb::Get) => verbs::get::get(&call, &target).await,
        (_, Verb::Update) => verbs::update::update(&call, &mut target).await,
        (_, Verb::Patch) => verbs::patch::patch(&call, &mut target).await,
        _ => Err(not_allowed()),
    }
}

/// What a custom resource's subresource does not do is refused by the resource, not by the route.
fn not_supported(target: &Target, verb: Verb) -> ApiError {
    let verb = if verb == Verb::Delete { "delete" } else { "create" };
    ApiError::MethodNotAllowed { resource: target.group_resource(), verb: verb.into() }
}
