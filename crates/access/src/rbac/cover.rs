//! Escalation: nobody may grant rights they do not hold.

use super::index::RbacIndex;
use super::rule::{Rule, has, has_or_star, quote_list, url_matches};
use crate::user::UserInfo;
use object::error::quote;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A servant rule that breaks down into more parts than this is judged whole. Real rules stay far below; without a
/// bound a hostile rule of a megabyte could break down into billions.
const MAX_BREAKDOWN: usize = 100_000;

/// Do the owner's rules cover all of the servant's? If not, the parts not covered, each of one verb.
pub fn covers(owner: &[Rule], servant: &[Rule]) -> (bool, Vec<Rule>) {
    let mut uncovered = Vec::new();
    let mut budget = MAX_BREAKDOWN;
    for rule in servant {
        if owner.iter().any(|own| rule_covers(own, rule)) {
            continue;
        }
        let size = breakdown_size(rule);
        if size > budget {
            uncovered.push(rule.clone());
            continue;
        }
        budget -= size;
        uncovered.extend(
            breakdown(rule).into_iter().filter(|part| !owner.iter().any(|own| rule_covers(own, part))),
        );
    }
    (uncovered.is_empty(), uncovered)
}

/// May the user grant `wanted` in `namespace` (empty: everywhere)? The error is the admission's word for no.
pub fn confirm_no_escalation(
    index: &RbacIndex,
    user: &UserInfo,
    namespace: &str,
    wanted: &[Rule],
) -> Result<(), String> {
    let (owned, errors) = index.rules_for(user, namespace);
    let (covered, missing) = covers(&owned, wanted);
    if covered {
        return Ok(());
    }
    let missing: BTreeSet<String> = compact(missing).iter().map(Rule::compact_string).collect();
    let mut message = format!(
        "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        quote(&user.username),
        quote_list(user.groups.iter().map(String::as_str)),
        missing.into_iter().collect::<Vec<_>>().join("\n"),
    );
    if !errors.is_empty() {
        message += &format!("; resolution errors: {}", quote_list(errors.iter().map(String::as_str)));
    }
    Err(message)
}

fn breakdown_size(rule: &Rule) -> usize {
    let product = |lists: &[usize]| lists.iter().fold(1usize, |all, one| all.saturating_mul(*one));
    let resources = product(&[
        rule.api_groups.len(),
        rule.resources.len(),
        rule.verbs.len(),
        rule.resource_names.len().max(1),
    ]);
    resources.saturating_add(product(&[rule.non_resource_urls.len(), rule.verbs.len()]))
}

/// One rule per group, resource, verb and name, then per path and verb.
fn breakdown(rule: &Rule) -> Vec<Rule> {
    let one = |word: &Arc<str>| -> Box<[Arc<str>]> { Box::new([word.clone()]) };
    let mut parts = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let part = Rule {
                    verbs: one(verb),
                    api_groups: one(group),
                    resources: one(resource),
                    ..Rule::default()
                };
                if rule.resource_names.is_empty() {
                    parts.push(part);
                } else {
                    let named = |name| Rule { resource_names: one(name), ..part.clone() };
                    parts.extend(rule.resource_names.iter().map(named));
                }
            }
        }
    }
    for url in &rule.non_resource_urls {
        for verb in &rule.verbs {
            parts.push(Rule { verbs: one(verb), non_resource_urls: one(url), ..Rule::default() });
        }
    }
    parts
}

fn rule_covers(owner: &Rule, part: &Rule) -> bool {
    let all = |own: &[Arc<str>], wanted: &[Arc<str>]| {
        own.iter().any(|word| word.as_ref() == "*") || wanted.iter().all(|word| has(own, word))
    };
    let names = owner.resource_names.is_empty()
        || (!part.resource_names.is_empty()
            && part.resource_names.iter().all(|name| has(&owner.resource_names, name)));
    all(&owner.verbs, &part.verbs)
        && all(&owner.api_groups, &part.api_groups)
        && names
        && part.resources.iter().all(|wanted| resource_covered(&owner.resources, wanted))
        && part
            .non_resource_urls
            .iter()
            .all(|wanted| owner.non_resource_urls.iter().any(|own| url_matches(own, wanted)))
}

fn resource_covered(own: &[Arc<str>], wanted: &str) -> bool {
    has_or_star(own, wanted) || wanted.split_once('/').is_some_and(|(_, sub)| has(own, &format!("*/{sub}")))
}

/// Joins the verbs of rules that speak of the same one resource (and name), in the order met.
fn compact(rules: Vec<Rule>) -> Vec<Rule> {
    let mut simple: BTreeMap<[Option<Arc<str>>; 3], Rule> = BTreeMap::new();
    let mut compacted = Vec::new();
    for rule in rules {
        let ([group], [resource], [], [] | [_]) =
            (&*rule.api_groups, &*rule.resources, &*rule.non_resource_urls, &*rule.resource_names)
        else {
            compacted.push(rule);
            continue;
        };
        let key = [Some(group.clone()), Some(resource.clone()), rule.resource_names.first().cloned()];
        match simple.get_mut(&key) {
            Some(known) => known.verbs = known.verbs.iter().chain(&rule.verbs).cloned().collect(),
            None => {
                simple.insert(key, rule);
            }
        }
    }
    compacted.extend(simple.into_values());
    compacted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Rule {
        Rule::resources(verbs, groups, resources, &[])
    }

    #[test]
    fn what_covers_what() {
        let named = |names: &[&str]| Rule::resources(&["get"], &[""], &["pods"], names);
        for (owner, servant, covered) in [
            (rule(&["get"], &[""], &["pods"]), rule(&["get"], &[""], &["pods"]), true),
            (rule(&["*"], &["*"], &["*"]), rule(&["get"], &["apps"], &["a/b"]), true),
            (rule(&["*"], &["*"], &["*"]), rule(&["*"], &["*"], &["*"]), true),
            (rule(&["get", "list"], &[""], &["pods"]), rule(&["*"], &[""], &["pods"]), false),
            (rule(&["get"], &[""], &["*/log"]), rule(&["get"], &[""], &["pods/log"]), true),
            (rule(&["get"], &[""], &["*/log"]), rule(&["get"], &[""], &["pods"]), false),
            (rule(&["get"], &[""], &["pods"]), rule(&["get"], &[""], &["pods/log"]), false),
            (named(&[]), named(&["a"]), true),
            (named(&["a", "b"]), named(&["a"]), true),
            (named(&["a"]), named(&["b"]), false),
            (named(&["a"]), named(&[]), false),
            (Rule::urls(&["get"], &["/a/*"]), Rule::urls(&["get"], &["/a/b"]), true),
            (Rule::urls(&["get"], &["/a/*"]), Rule::urls(&["get"], &["/a/*"]), true),
            (Rule::urls(&["get"], &["/a/b"]), Rule::urls(&["get"], &["/a/*"]), false),
            (Rule::urls(&["*"], &["*"]), Rule::urls(&["get"], &["/a"]), true),
            (rule(&["*"], &["*"], &["*"]), Rule::urls(&["get"], &["/a"]), false),
        ] {
            let (got, uncovered) = covers(std::slice::from_ref(&owner), std::slice::from_ref(&servant));
            assert_eq!(got, covered, "{} of {}", owner.compact_string(), servant.compact_string());
            assert_eq!(uncovered.is_empty(), covered);
        }
    }

    #[test]
    fn several_owner_rules_together() {
        let owner = [rule(&["get"], &[""], &["pods"]), rule(&["list"], &[""], &["pods", "secrets"])];
        let (covered, missing) = covers(&owner, &[rule(&["get", "list"], &[""], &["pods", "secrets"])]);
        assert!(!covered);
        assert_eq!(missing, [rule(&["get"], &[""], &["secrets"])]);
        assert!(covers(&owner, &[rule(&["get", "list"], &[""], &["pods"])]).0);
    }

    #[test]
    fn a_huge_rule_is_judged_whole() {
        let words: Vec<String> = (0..1000).map(|i| format!("w{i}")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let huge = rule(&words, &words, &words);
        assert_eq!(covers(&[], std::slice::from_ref(&huge)).1.len(), 1);
        assert!(covers(&[rule(&["*"], &["*"], &["*"])], &[huge]).0);
    }

    fn alice(rules: Value) -> RbacIndex {
        let mut index = RbacIndex::default();
        index.upsert("Role", &json!({"metadata": {"name": "m", "namespace": "ns"}, "rules": rules}));
        index.upsert(
            "RoleBinding",
            &json!({"metadata": {"name": "b", "namespace": "ns"}, "roleRef": {"kind": "Role", "name": "m"},
                    "subjects": [{"kind": "User", "name": "alice"}]}),
        );
        index
    }

    #[test]
    fn messages() {
        let index = alice(json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]));
        let user = UserInfo::new("alice", &["system:authenticated"]);
        let head = "user \"alice\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n";
        for (wanted, missing) in [
            (vec![rule(&["get"], &[""], &["configmaps"])], None),
            (
                vec![rule(&["get", "list"], &[""], &["secrets", "pods"]), rule(&["*"], &["apps"], &["*"])],
                Some(
                    "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\" \"list\"]}\n\
                     {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}\n\
                     {APIGroups:[\"apps\"], Resources:[\"*\"], Verbs:[\"*\"]}",
                ),
            ),
            (
                vec![rule(&["get", "delete"], &[""], &["configmaps"])],
                Some("{APIGroups:[\"\"], Resources:[\"configmaps\"], Verbs:[\"delete\"]}"),
            ),
            (
                vec![rule(&["*"], &["*"], &["*"]), Rule::urls(&["*"], &["*"])],
                Some(
                    "{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}\n{NonResourceURLs:[\"*\"], Verbs:[\"*\"]}",
                ),
            ),
        ] {
            let result = confirm_no_escalation(&index, &user, "ns", &wanted);
            assert_eq!(result.err(), missing.map(|rules| format!("{head}{rules}")));
        }
        assert!(
            confirm_no_escalation(&index, &user, "other", &[rule(&["get"], &[""], &["configmaps"])]).is_err()
        );
    }
}
