//! Objects as JSON and protobuf: what is read and written again stays what it is.

use object::Value;
use schema::decode::{Strictness, decode, decode_json, decode_untyped};
use schema::{Schema, builtin, proto};

const TYPES: [&str; 4] = [
    "io.k8s.api.core.v1.Pod",
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
];

/// The first byte chooses a type and how strictly it is read.
pub(crate) fn json(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let strictness = [Strictness::Ignore, Strictness::Warn, Strictness::Strict][usize::from(choice / 4) % 3];
    let _ = decode_untyped(text, strictness);
    let name = TYPES[usize::from(choice % 4)];
    let schema = builtin().named(name).unwrap_or_else(|| panic!("no type {name}"));
    let Ok(read) = decode_json(schema, text, strictness) else { return };
    let again = decode(schema, read.value.clone(), Strictness::Strict).expect("what was read is readable");
    assert_eq!(again.value, read.value, "reading twice changes nothing");
    as_protobuf(schema, &read.value);
}

fn as_protobuf(schema: Schema<'_>, object: &Value) {
    // Some values have no place there: protobuf cannot tell every one that JSON can.
    let Ok(bytes) = proto::encode(schema, object) else { return };
    let read = proto::decode(schema, &bytes).expect("what was written is readable");
    let again = proto::encode(schema, &read).expect("what was read is writable");
    assert_eq!(again, bytes, "writing twice changes nothing");
}

/// An object, or an event of a watch, in protobuf.
pub(crate) fn protobuf(data: &[u8]) {
    let _ = proto::decode_watch_event(data);
    for name in TYPES {
        if let Some(schema) = builtin().named(name)
            && let Ok(read) = proto::decode(schema, data)
        {
            as_protobuf(schema, &read);
        }
    }
    let Ok(read) = proto::decode_envelope(data) else { return };
    let Ok(bytes) = proto::encode_envelope(&read) else { return };
    let again = proto::decode_envelope(&bytes).expect("what was written is readable");
    let twice = proto::encode_envelope(&again).expect("what was read is writable");
    assert_eq!(twice, bytes, "writing twice changes nothing");
}
