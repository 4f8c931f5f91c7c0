//! The laws of field sets, against a plain set of paths as the model.

use super::{FieldPath, FieldSet, PathElement};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

type Model = BTreeSet<FieldPath>;

fn element() -> impl Strategy<Value = PathElement> {
    prop_oneof![
        "[a-c.<\"]{1,2}".prop_map(|name| PathElement::field(&name)),
        (0..3i64, prop::option::of("[xy&]")).prop_map(|(port, name)| {
            let mut key = vec![("port".into(), json!(port * 40))];
            key.extend(name.map(|name| ("name".into(), json!(name))));
            PathElement::key(key)
        }),
        prop_oneof![Just(json!("s")), Just(json!(7)), Just(json!(true)), Just(json!(-1.5))]
            .prop_map(PathElement::value),
        (0..3i64).prop_map(PathElement::Index),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    prop::collection::btree_set(prop::collection::vec(element(), 1..4).prop_map(FieldPath), 0..12)
}

fn set(model: &Model) -> FieldSet {
    FieldSet::of(model)
}

fn paths(set: &FieldSet) -> Model {
    set.paths().into_iter().collect()
}

fn has_member_above(path: &FieldPath, model: &Model) -> bool {
    (1..=path.0.len()).any(|length| model.contains(&FieldPath(path.0[..length].to_vec())))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn operations_are_those_of_sets(a in model(), b in model()) {
        let (sa, sb) = (set(&a), set(&b));
        prop_assert_eq!(paths(&sa), a.clone());
        prop_assert_eq!(sa.len(), a.len());
        prop_assert_eq!(paths(&sa.union(&sb)), a.union(&b).cloned().collect::<Model>());
        prop_assert_eq!(paths(&sa.intersection(&sb)), a.intersection(&b).cloned().collect::<Model>());
        prop_assert_eq!(paths(&sa.difference(&sb)), a.difference(&b).cloned().collect::<Model>());
        let left: Model = a.iter().filter(|path| !has_member_above(path, &b)).cloned().collect();
        prop_assert_eq!(paths(&sa.clone().recursive_difference(&sb)), left);
        let (mut more, mut less) = (sa.clone(), sa.clone());
        more.add(sb.clone());
        less.remove(&sb);
        prop_assert_eq!((more, less), (sa.union(&sb), sa.difference(&sb)));
        prop_assert!(a.iter().all(|path| sa.has(&path.0)));
        prop_assert_eq!(sa.difference(&sb).is_empty(), a.is_subset(&b));
    }

    #[test]
    fn equal_sets_have_one_form(a in model(), b in model()) {
        let (sa, sb) = (set(&a), set(&b));
        prop_assert_eq!(sa.union(&sb), sb.union(&sa));
        prop_assert_eq!(sa.difference(&sb).union(&sa.intersection(&sb)), sa.clone());
        prop_assert_eq!(sa.union(&sb).difference(&sb).intersection(&sb), FieldSet::new());
        prop_assert_eq!(sa == sb, a == b);
    }

    #[test]
    fn fields_v1_loses_nothing(a in model()) {
        let sa = set(&a);
        prop_assert_eq!(&FieldSet::from_value(&sa.to_value()).unwrap(), &sa);
        let parsed: serde_json::Value = serde_json::from_str(&sa.to_json()).unwrap();
        prop_assert_eq!(parsed, sa.to_value());
    }
}
