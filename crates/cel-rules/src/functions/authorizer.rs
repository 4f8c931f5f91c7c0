//! `authorizer`: questions are built step by step and asked by `check`.

use super::fail;
use crate::authorizer::{Question, Stage};
use crate::error::{EvalError, Result};
use crate::library::{Context, Library};
use crate::value::Value;
use std::sync::Arc;

pub(super) fn register(library: &mut Library) {
    library.add(
        &["kubernetes.authorization.Authorizer->path(string): kubernetes.authorization.PathCheck"],
        |_, args| {
            let path = args[1].as_str()?;
            if path.is_empty() {
                return fail("path must not be empty");
            }
            next(args, |q| {
                q.stage = Stage::Path;
                q.path = path.to_owned();
            })
        },
    );
    library.add(
        &["kubernetes.authorization.Authorizer->group(string): kubernetes.authorization.GroupCheck"],
        |_, args| {
            let group = args[1].as_str()?;
            next(args, |q| {
                q.stage = Stage::Group;
                q.group = group.to_owned();
            })
        },
    );
    library.add(
        &["kubernetes.authorization.Authorizer->serviceAccount(string, string): kubernetes.authorization.Authorizer"],
        |_, args| {
            let account = (args[1].as_str()?.to_owned(), args[2].as_str()?.to_owned());
            next(args, |q| q.service_account = Some(account))
        },
    );
    library.add(
        &["kubernetes.authorization.GroupCheck->resource(string): kubernetes.authorization.ResourceCheck"],
        |_, args| {
            let resource = args[1].as_str()?;
            next(args, |q| {
                q.stage = Stage::Resource;
                q.resource = resource.to_owned();
            })
        },
    );
    library.add(&["kubernetes.authorization.ResourceCheck->subresource(string): kubernetes.authorization.ResourceCheck"], |_, args| {
        let text = args[1].as_str()?.to_owned();
        next(args, |q| q.subresource = text)
    });
    library.add(&["kubernetes.authorization.ResourceCheck->namespace(string): kubernetes.authorization.ResourceCheck"], |_, args| {
        let text = args[1].as_str()?.to_owned();
        next(args, |q| q.namespace = text)
    });
    library.add(
        &["kubernetes.authorization.ResourceCheck->name(string): kubernetes.authorization.ResourceCheck"],
        |_, args| {
            let text = args[1].as_str()?.to_owned();
            next(args, |q| q.name = text)
        },
    );
    // RBAC does not look at selectors.
    library.add(
        &[
            "kubernetes.authorization.ResourceCheck->fieldSelector(string): kubernetes.authorization.ResourceCheck",
            "kubernetes.authorization.ResourceCheck->labelSelector(string): kubernetes.authorization.ResourceCheck",
        ],
        |_, args| Ok(args[0].clone()),
    );
    library.add(
        &[
            "kubernetes.authorization.PathCheck->check(string): kubernetes.authorization.Decision",
            "kubernetes.authorization.ResourceCheck->check(string): kubernetes.authorization.Decision",
        ],
        check,
    );
    library.add(&["kubernetes.authorization.Decision->allowed(): bool"], |_, a| {
        Ok(Value::Bool(of(&a[0])?.answer.allowed))
    });
    library.add(&["kubernetes.authorization.Decision->reason(): string"], |_, a| {
        Ok(Value::text(of(&a[0])?.answer.reason.as_str()))
    });
    library.add(&["kubernetes.authorization.Decision->error(): string"], |_, a| {
        Ok(Value::text(of(&a[0])?.answer.error.as_str()))
    });
    library.add(&["kubernetes.authorization.Decision->errored(): bool"], |_, a| {
        Ok(Value::Bool(!of(&a[0])?.answer.error.is_empty()))
    });
}

fn of<'v>(value: &'v Value<'_>) -> Result<&'v Question> {
    match value {
        Value::Question(question) => Ok(question),
        _ => Err(EvalError::no_overload()),
    }
}

fn next<'a>(args: &[Value<'a>], change: impl FnOnce(&mut Question)) -> Result<Value<'a>> {
    let mut question = of(&args[0])?.clone();
    change(&mut question);
    Ok(Value::Question(Arc::new(question)))
}

fn check<'a>(cx: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>> {
    let mut question = of(&args[0])?.clone();
    question.verb = args[1].as_str()?.to_owned();
    let Some(authorizer) = cx.authorizer else { return fail("no authorizer") };
    question.answer = authorizer.decide(&question);
    question.stage = Stage::Decision;
    Ok(Value::Question(Arc::new(question)))
}
