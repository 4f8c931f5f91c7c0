//! `ConversionReview`: what a conversion webhook is asked, and what it may answer.

use object::{GroupVersionKind, Map, Value, json, meta};

/// Why an answer is no good, as metrics name it, and in words.
pub(super) type Refusal = (&'static str, String);

const MALFORMED: &str = "conversion_webhook_malformed_response_failure";
const PARTIAL: &str = "conversion_webhook_partial_response_failure";
const INVALID: &str = "conversion_webhook_invalid_converted_object_failure";

/// The first version of `ConversionReview` that both sides speak.
pub(super) fn version(preferred: &[String]) -> Option<&str> {
    preferred.iter().map(String::as_str).find(|version| matches!(*version, "v1" | "v1beta1"))
}

/// Asks for `objects` in `api_version`.
pub(super) fn request(version: &str, uid: &str, api_version: &str, objects: Vec<Value>) -> Value {
    json!({
        "kind": "ConversionReview", "apiVersion": format!("apiextensions.k8s.io/{version}"),
        "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": objects},
        // Clients of the Go types send it along.
        "response": {"uid": "", "convertedObjects": null, "result": {"metadata": {}}},
    })
}

/// What every answer is held to: the review, the objects that were sent and the kind that was wanted of them.
pub(super) struct Asked<'a> {
    pub version: &'a str,
    pub uid: &'a str,
    pub to: &'a GroupVersionKind,
    pub objects: &'a [Value],
}

impl Asked<'_> {
    /// How messages name what was to be converted.
    pub fn subject(&self) -> String {
        let of = |field: &str| self.objects.first().and_then(|o| o[field].as_str()).unwrap_or("");
        format!("{}, Kind={}", of("apiVersion"), of("kind"))
    }

    fn failed(&self, why: &str) -> String {
        format!("conversion webhook for {} failed: {why}", self.subject())
    }

    /// The converted objects of an answer, with the metadata that is not the webhook's to change put back.
    pub fn converted(&self, mut answer: Value) -> Result<Vec<Value>, Refusal> {
        let malformed = |why: String| (MALFORMED, self.failed(&why));
        let wanted = format!("apiextensions.k8s.io/{}", self.version);
        let text = |field: &str| answer[field].as_str().unwrap_or("");
        if self.version == "v1" && (text("apiVersion") != wanted || text("kind") != "ConversionReview") {
            let version = if text("apiVersion").is_empty() { "/" } else { text("apiVersion") };
            let got = format!("{version}, Kind={}", text("kind"));
            return Err(malformed(format!(
                "expected webhook response of {wanted}, Kind=ConversionReview, got {got}"
            )));
        }
        let mut response = answer["response"].take();
        if !response.is_object() {
            return Err(malformed("no response provided".into()));
        }
        let uid = response["uid"].as_str().unwrap_or("");
        if self.version == "v1" && uid != self.uid {
            return Err(malformed(format!("expected response.uid=\"{}\", got \"{uid}\"", self.uid)));
        }
        let text = |field: &str| response["result"][field].as_str().unwrap_or("");
        match (text("status"), text("message")) {
            ("Success", _) => {}
            (status, "") => {
                return Err(malformed(format!("response.result.status was '{status}', not 'Success'")));
            }
            (_, message) => return Err(malformed(message.to_owned())),
        }
        let Value::Array(objects) = response["convertedObjects"].take() else { return Err(self.partial(0)) };
        if objects.len() != self.objects.len() {
            return Err(self.partial(objects.len()));
        }
        let pairs = objects.into_iter().zip(self.objects).enumerate();
        pairs.map(|(i, (converted, original))| self.checked(i, converted, original)).collect()
    }

    fn partial(&self, count: usize) -> Refusal {
        let (subject, expected) = (self.subject(), self.objects.len());
        (PARTIAL, format!("conversion webhook for {subject} returned {count} objects, expected {expected}"))
    }

    fn checked(&self, index: usize, mut converted: Value, original: &Value) -> Result<Value, Refusal> {
        let subject = self.subject();
        let refuse = |what: &str, why: String| {
            Err((INVALID, format!("conversion webhook for {subject} returned {what}: {why}")))
        };
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or("").to_owned();
        let at = format!("invalid object at index {index}");
        let (expected, got) = (self.to.api_version(), text(&converted, "apiVersion"));
        if expected != got {
            return refuse(&at, format!("invalid groupVersion (expected {expected}, received {got})"));
        }
        let (expected, got) = (text(original, "kind"), text(&converted, "kind"));
        if expected != got {
            return refuse(&at, format!("invalid kind (expected {expected}, received {got})"));
        }
        for (field, name) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
            let (had, has) = (text(&original["metadata"], field), text(&converted["metadata"], field));
            if had != has {
                return refuse("invalid object", format!("must have the same {name}: {had} != {has}"));
            }
        }
        match restore_metadata(original, &mut converted) {
            Ok(()) => Ok(converted),
            Err(why) => refuse("invalid metadata", why),
        }
    }
}

/// A webhook may change labels and annotations; all other metadata is that of the original.
fn restore_metadata(original: &Value, converted: &mut Value) -> Result<(), String> {
    let answered = match converted.get("metadata") {
        Some(Value::Object(metadata)) => metadata.clone(),
        None => return Err("missing metadata in converted object".into()),
        Some(other) => {
            return Err(format!("invalid metadata of type {} in converted object", go_type(other)));
        }
    };
    let mut metadata = original["metadata"].as_object().cloned().unwrap_or_default();
    for field in ["labels", "annotations"] {
        match answered.get(field) {
            None | Some(Value::Null) => drop(metadata.remove(field)),
            Some(Value::Object(words)) => {
                check_words(field, words, metadata.get(field))?;
                metadata.insert(field.into(), words.clone().into());
            }
            Some(other) => {
                return Err(format!(
                    "invalid metadata.{field} of type {} in converted object",
                    go_type(other)
                ));
            }
        }
    }
    converted["metadata"] = metadata.into();
    Ok(())
}

fn check_words(field: &str, words: &Map<String, Value>, had: Option<&Value>) -> Result<(), String> {
    if let Some((key, value)) = words.iter().find(|(_, value)| !value.is_string()) {
        let found = go_type(value);
        return Err(format!("metadata.{field}[{key}] must be a string, but is {found} in converted object"));
    }
    if had.and_then(Value::as_object) == Some(words) {
        return Ok(());
    }
    let errors = validation::validate_words(field == "labels", &words.clone().into());
    let texts: Vec<String> = errors.iter().map(|e| format!("{}: {}", e.path, e.message)).collect();
    match texts.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// How messages name the types of values.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// An object without any field but its type is converted by nobody.
pub(super) fn is_empty(object: &Value) -> bool {
    meta::gvk(object).is_some() && object.as_object().is_some_and(|o| o.len() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(answer: Value, expected: Expect) {
        let to = GroupVersionKind::new("a.b", "v2", "Foo");
        let objects = [
            json!({"apiVersion": "a.b/v1", "kind": "Foo", "metadata": {"name": "n", "uid": "u", "labels": {"a": "b"}}}),
        ];
        let asked = Asked { version: "v1", uid: "1", to: &to, objects: &objects };
        let text = match asked.converted(answer) {
            Ok(objects) => json!(objects).to_string(),
            Err((_, why)) => why,
        };
        expected.assert_eq(&text);
    }

    fn answer(objects: Value) -> Value {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
            "response": {"uid": "1", "result": {"status": "Success"}, "convertedObjects": objects}})
    }

    fn converted(metadata: Value) -> Value {
        answer(json!([{"apiVersion": "a.b/v2", "kind": "Foo", "metadata": metadata}]))
    }

    #[test]
    fn only_labels_and_annotations_may_change() {
        check(
            converted(json!({"name": "n", "uid": "u", "labels": {"c": "d"}, "finalizers": ["x"]})),
            expect![[
                r#"[{"apiVersion":"a.b/v2","kind":"Foo","metadata":{"labels":{"c":"d"},"name":"n","uid":"u"}}]"#
            ]],
        );
        check(
            converted(json!({"name": "m", "uid": "u"})),
            expect![
                "conversion webhook for a.b/v1, Kind=Foo returned invalid object: must have the same name: n != m"
            ],
        );
        check(
            converted(json!({"name": "n", "uid": "u", "labels": {"c": 1}})),
            expect![
                "conversion webhook for a.b/v1, Kind=Foo returned invalid metadata: metadata.labels[c] must be a string, but is int64 in converted object"
            ],
        );
    }

    #[test]
    fn answers_are_checked() {
        check(
            json!({}),
            expect![
                "conversion webhook for a.b/v1, Kind=Foo failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got /, Kind="
            ],
        );
        check(
            answer(json!([])),
            expect!["conversion webhook for a.b/v1, Kind=Foo returned 0 objects, expected 1"],
        );
        check(
            answer(json!([{"apiVersion": "a.b/v1", "kind": "Foo"}])),
            expect![
                "conversion webhook for a.b/v1, Kind=Foo returned invalid object at index 0: invalid groupVersion (expected a.b/v2, received a.b/v1)"
            ],
        );
        let mut failed = answer(Value::Null);
        failed["response"]["result"] = json!({"status": "Failure", "message": "no way"});
        check(failed, expect!["conversion webhook for a.b/v1, Kind=Foo failed: no way"]);
    }
}
