//! One fully populated object of every kind, as JSON and as protobuf: each becomes the other, byte for byte.

use object::{GroupVersionKind, meta};
use schema::proto;
use serde_json::Value;
use std::{fs, path::Path};

fn fixtures() -> Vec<(String, Value, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kubernetes-1.36/roundtrip");
    let Ok(files) = fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no fixtures at {}", folder.display());
        return Vec::new();
    };
    let json = files.flatten().map(|f| f.path()).filter(|p| p.extension().is_some_and(|e| e == "json"));
    json.map(|path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let object = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        (name, object, fs::read(path.with_extension("pb")).unwrap())
    })
    .collect()
}

#[test]
fn every_fixture_goes_round() {
    let mut wrong = Vec::new();
    let mut unknown = Vec::new();
    let fixtures = fixtures();
    for (name, object, bytes) in &fixtures {
        // A WatchEvent does not say that it is one.
        let gvk = meta::gvk(object).unwrap_or_else(|| GroupVersionKind::new("", "v1", "WatchEvent"));
        let Some(schema) = schema::builtin().by_gvk(&gvk) else {
            unknown.push(name.clone());
            continue;
        };
        let (bytes, written, read) = match object.get("kind") {
            Some(_) => (&bytes[..], proto::encode_envelope(object), proto::decode_envelope(bytes)),
            None => {
                let raw = proto::open_envelope(bytes).unwrap().raw;
                (raw, proto::encode(schema, object), proto::decode(schema, raw))
            }
        };
        match written {
            Ok(ours) if ours == *bytes => {}
            Ok(ours) => {
                let at =
                    ours.iter().zip(bytes).position(|(a, b)| a != b).unwrap_or(ours.len().min(bytes.len()));
                let near = |b: &[u8]| {
                    String::from_utf8_lossy(&b[at.saturating_sub(40)..(at + 20).min(b.len())]).into_owned()
                };
                wrong.push(format!("{name} to protobuf, byte {at}: {:?} but {:?}", near(bytes), near(&ours)));
            }
            Err(error) => wrong.push(format!("{name} to protobuf: {error}")),
        }
        match read {
            Ok(ours) if ours == *object => {}
            Ok(ours) => {
                let mut found = Vec::new();
                super::golden::differences("", object, &ours, &mut found);
                wrong.push(format!("{name} from protobuf: {}", found[..found.len().min(5)].join("; ")));
            }
            Err(error) => wrong.push(format!("{name} from protobuf: {error}")),
        }
    }
    eprintln!("{} fixtures", fixtures.len());
    assert!(unknown.is_empty(), "unknown kinds: {unknown:?}");
    assert!(wrong.is_empty(), "{}\n{} differences", wrong.join("\n"), wrong.len());
}
