//! Laws that hold for any input: nothing panics, canonical form is canonical, protobuf tells what JSON tells.

use object::Value;
use proptest::prelude::*;
use schema::{
    Schema, builtin,
    decode::{Strictness, check_json, decode, decode_json},
    proto,
};

const TYPES: [&str; 8] = [
    "api.core.v1.Pod",
    "api.core.v1.Service",
    "api.apps.v1.Deployment",
    "api.rbac.v1.ClusterRole",
    "api.core.v1.ConfigMap",
    "apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    "api.admissionregistration.v1.ValidatingAdmissionPolicy",
];

fn schema(at: usize) -> Schema<'static> {
    builtin().named(&format!("io.k8s.{}", TYPES[at % TYPES.len()])).unwrap()
}

/// A value that mostly fits `schema`, made from `choices`.
fn fitting(schema: Schema<'_>, choices: &mut impl Iterator<Item = u8>, depth: usize) -> Value {
    use schema::{Scalar, Shape};
    let pick = choices.next().unwrap_or(0);
    if depth > 6 || pick == 255 {
        return Value::Null;
    }
    match &schema.node().shape {
        Shape::Object { .. } => {
            let all: Vec<_> = schema.fields().collect();
            let mut map = object::Map::new();
            for _ in 0..if all.is_empty() { 0 } else { pick % 5 } {
                let (field, inner) = &all[usize::from(choices.next().unwrap_or(0)) % all.len()];
                map.insert(field.name.to_string(), fitting(*inner, choices, depth + 1));
            }
            Value::Object(map)
        }
        Shape::Map(_) => {
            let values = schema.map_value().unwrap();
            (0..pick % 3).map(|n| (format!("k{n}"), fitting(values, choices, depth + 1))).collect()
        }
        Shape::List(_) => {
            let items = schema.items().unwrap();
            (0..pick % 3).map(|_| fitting(items, choices, depth + 1)).collect()
        }
        Shape::Scalar(scalar) => match scalar {
            Scalar::String => ["", "a", "b"][usize::from(pick % 3)].into(),
            Scalar::Bytes => ["", "YQ=="][usize::from(pick % 2)].into(),
            Scalar::Bool => pick.is_multiple_of(2).into(),
            Scalar::Int32 | Scalar::Int64 => (i64::from(pick) - 100).into(),
            Scalar::Double => (f64::from(pick) / 2.0).into(),
            Scalar::IntOrString => {
                if pick.is_multiple_of(2) {
                    "x".into()
                } else {
                    pick.into()
                }
            }
            Scalar::Quantity => ["0", "1.5Gi", "100m", "1000"][usize::from(pick % 4)].into(),
            Scalar::Time => "2026-01-02T03:04:05+01:00".into(),
            Scalar::MicroTime => "2026-01-02T03:04:05.000006Z".into(),
            Scalar::Duration => "90m".into(),
        },
        _ => object::json!({"any": pick}),
    }
}

proptest! {
    #[test]
    fn canonical_form_is_canonical(at in 0..TYPES.len(), choices in prop::collection::vec(any::<u8>(), 0..300)) {
        let schema = schema(at);
        let given = fitting(schema, &mut choices.into_iter(), 0);
        prop_assume!(given.is_object());
        let once = decode(schema, given.clone(), Strictness::Warn).unwrap();
        prop_assert!(once.problems.is_empty());
        let twice = decode(schema, once.value.clone(), Strictness::Warn).unwrap();
        prop_assert_eq!(&twice.value, &once.value);
        let text = decode_json(schema, given.to_string().as_bytes(), Strictness::Warn).unwrap();
        prop_assert_eq!(&text.value, &once.value, "text and value read the same");
        let bytes = proto::encode(schema, &once.value).unwrap();
        let mut back = proto::decode(schema, &bytes).unwrap();
        // Not in the message, but in its envelope.
        for name in ["apiVersion", "kind"] {
            if let Some(word) = once.value.get(name) {
                back[name] = word.clone();
            }
        }
        prop_assert_eq!(&back, &once.value, "protobuf loses nothing");
    }

    #[test]
    fn bytes_are_read_or_refused(at in 0..TYPES.len(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let schema = schema(at);
        let _ = decode_json(schema, &bytes, Strictness::Warn);
        let _ = proto::decode(schema, &bytes);
        let _ = proto::decode_envelope(&[&b"k8s\0"[..], &bytes].concat());
        let json = serde_json::from_slice::<Value>(&bytes).is_ok();
        prop_assert!(!json || check_json(&bytes).is_ok());
    }

    #[test]
    fn json_like_text_is_judged_alike(text in "[\\[\\]{}:,\"a1.e\\-tn \\\\]{0,24}") {
        prop_assert_eq!(check_json(text.as_bytes()).is_ok(), serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn patterns_are_translated_or_refused(pattern in "[a\\[\\](){}*+?^$.|\\\\dwsQE1,&~-]{0,16}") {
        let refused = schema::custom::go_regex_error(&pattern);
        prop_assert_eq!(refused.is_none(), refused.is_none() && schema::custom::go_regex(&pattern).is_some(), "{}", pattern);
    }
}
