//! Who may do what, and how much: roles, admission, priorities, disruption budgets, certificates.

use super::cells::{age, int, int_or_string, len, list, row, text, text_or};
use jiff::Timestamp;
use object::{Value, meta, time};

pub(super) fn role_binding(binding: &Value, now: Timestamp) -> Vec<Value> {
    let role = format!("{}/{}", text(&binding["roleRef"]["kind"]), text(&binding["roleRef"]["name"]));
    let subjects = |kind: &str| {
        let of_kind = list(&binding["subjects"]).iter().filter(|s| s["kind"] == kind);
        let names = of_kind.map(|s| match kind {
            "ServiceAccount" => format!("{}/{}", text(&s["namespace"]), text(&s["name"])),
            _ => text(&s["name"]).to_owned(),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    row![
        meta::name(binding),
        role,
        age(binding, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

pub(super) fn pod_disruption_budget(budget: &Value, now: Timestamp) -> Vec<Value> {
    let shown = |field: &str| match &budget["spec"][field] {
        Value::Null => "N/A".into(),
        value => int_or_string(value),
    };
    row![
        meta::name(budget),
        shown("minAvailable"),
        shown("maxUnavailable"),
        int(&budget["status"]["disruptionsAllowed"]),
        age(budget, now),
    ]
}

pub(super) fn certificate_signing_request(request: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&request["spec"], &request["status"]);
    let has = |kind: &str| list(&status["conditions"]).iter().any(|c| c["type"] == kind);
    let mut condition = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if has("Failed") {
        condition.push_str(",Failed");
    }
    if !text(&status["certificate"]).is_empty() {
        condition.push_str(",Issued");
    }
    row![
        meta::name(request),
        age(request, now),
        text_or(&spec["signerName"], "<none>"),
        text(&spec["username"]),
        spec["expirationSeconds"].as_i64().map_or_else(|| "<none>".into(), time::duration::human),
        condition,
    ]
}

pub(super) fn webhook_configuration(configuration: &Value, now: Timestamp) -> Vec<Value> {
    row![meta::name(configuration), len(&configuration["webhooks"]), age(configuration, now)]
}

pub(super) fn mutating_admission_policy(policy: &Value, now: Timestamp) -> Vec<Value> {
    admission_policy(policy, "mutations", now)
}

pub(super) fn validating_admission_policy(policy: &Value, now: Timestamp) -> Vec<Value> {
    admission_policy(policy, "validations", now)
}

fn admission_policy(policy: &Value, rules: &str, now: Timestamp) -> Vec<Value> {
    let spec = &policy["spec"];
    let parameters = &spec["paramKind"];
    let kind = if parameters.is_object() {
        format!("{}/{}", text(&parameters["apiVersion"]), text(&parameters["kind"]))
    } else {
        "<unset>".into()
    };
    row![meta::name(policy), len(&spec[rules]), kind, age(policy, now)]
}

pub(super) fn admission_policy_binding(binding: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &binding["spec"];
    row![meta::name(binding), text(&spec["policyName"]), parameters(&spec["paramRef"]), age(binding, now)]
}

fn parameters(reference: &Value) -> String {
    match (text(&reference["name"]), text(&reference["namespace"])) {
        ("", _) if reference["selector"].is_object() => go_label_selector(&reference["selector"]),
        ("", _) => "<unset>".into(),
        (name, "") => format!("*/{name}"),
        (name, namespace) => format!("{namespace}/{name}"),
    }
}

/// A label selector as Go prints the struct.
fn go_label_selector(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let labels: String = labels.map(|(k, v)| format!("{k}: {},", text(v))).collect();
    let expressions: String = list(&selector["matchExpressions"])
        .iter()
        .map(|e| {
            let values: Vec<&str> = list(&e["values"]).iter().map(text).collect();
            let (key, operator) = (text(&e["key"]), text(&e["operator"]));
            format!(
                "LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},",
                values.join(" ")
            )
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

pub(super) fn priority_class(class: &Value, now: Timestamp) -> Vec<Value> {
    row![
        meta::name(class),
        int(&class["value"]),
        class["globalDefault"] == true,
        age(class, now),
        text(&class["preemptionPolicy"]),
    ]
}

pub(super) fn flow_schema(schema: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &schema["spec"];
    let dangling = list(&schema["status"]["conditions"]).iter().find(|c| c["type"] == "Dangling");
    row![
        meta::name(schema),
        text(&spec["priorityLevelConfiguration"]["name"]),
        int(&spec["matchingPrecedence"]),
        text_or(&spec["distinguisherMethod"]["type"], "<none>"),
        age(schema, now),
        dangling.map_or("?", |c| text(&c["status"])),
    ]
}

pub(super) fn priority_level_configuration(level: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &level["spec"];
    let limited = &spec["limited"];
    let queuing = &limited["limitResponse"]["queuing"];
    let number = |holder: &Value, field: &str| match &holder[field] {
        _ if !holder.is_object() => Value::from("<none>"),
        value => Value::from(int(value)),
    };
    row![
        meta::name(level),
        text(&spec["type"]),
        number(limited, "nominalConcurrencyShares"),
        number(queuing, "queues"),
        number(queuing, "handSize"),
        number(queuing, "queueLengthLimit"),
        age(level, now),
    ]
}
