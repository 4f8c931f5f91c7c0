//! Which families of addresses a service has, before it gets the addresses: what a client left out is filled in, what it
//! said is held against what this server can give (IPv4 alone).

use object::{ApiError, FieldError, GroupKind, Path, Result, Value, json, meta};

const OWN: &str = "IPv4";

/// Fills in `ipFamilyPolicy`, `ipFamilies` and `clusterIPs` of a service that is to replace `old`. Where addresses are not
/// this server's own to give, whoever gives them decides about families.
///
/// # Errors
/// `Invalid`, where fields contradict each other or ask for another family.
pub(super) fn settle(service: &mut Value, old: Option<&Value>, is_own: bool) -> Result<()> {
    normalize(service, old);
    if !is_own {
        return refuse(service, validation::service_addresses(service, old));
    }
    if service["spec"]["type"] == "ExternalName" {
        return Ok(());
    }
    if service["spec"]["ipFamilyPolicy"].is_null() {
        service["spec"]["ipFamilyPolicy"] = policy(service, old);
    }
    refuse(service, validation::service_addresses(service, old))?;
    if old.is_some() && service["spec"]["ipFamilyPolicy"] == "SingleStack" {
        release_second(service, old);
    }
    let mut errors = single_stack_errors(service);
    infer_families(service, &mut errors);
    refuse(service, errors)?;
    if is_headless(service) && has_no_selector(service) {
        any_family(service);
        return Ok(());
    }
    refuse(service, unavailable(service))?;
    if is_empty(&service["spec"]["ipFamilies"]) {
        service["spec"]["ipFamilies"] = json!([OWN]);
    }
    Ok(())
}

/// `clusterIP` is the old name of the first of `clusterIPs`: who changed the one meant the other too.
fn normalize(service: &mut Value, old: Option<&Value>) {
    let (ip, ips) = (service["spec"]["clusterIP"].clone(), service["spec"]["clusterIPs"].clone());
    let set = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let Some(old) = old else {
        if set(&ip) && is_empty(&ips) {
            service["spec"]["clusterIPs"] = json!([ip]);
        }
        return;
    };
    let (old_ip, old_ips) = (&old["spec"]["clusterIP"], &old["spec"]["clusterIPs"]);
    if !is_empty(old_ips) && is_empty(&ips) && &ip == old_ip {
        service["spec"]["clusterIPs"] = old_ips.clone();
    }
    if set(&ip) != set(old_ip) || (set(&ip) && &ip != old_ip) {
        let unchanged = &ips == old_ips || (is_empty(&ips) && is_empty(old_ips));
        match set(&ip) {
            true if unchanged => service["spec"]["clusterIPs"] = json!([ip]),
            false if unchanged => {
                if let Some(spec) = service["spec"].as_object_mut() {
                    spec.remove("clusterIPs");
                }
            }
            _ => {}
        }
    }
}

fn policy(service: &Value, old: Option<&Value>) -> Value {
    let before = old.map(|old| &old["spec"]["ipFamilyPolicy"]).filter(|policy| !policy.is_null());
    match before {
        Some(before) => before.clone(),
        None if service["spec"]["clusterIP"] == "None" && has_no_selector(service) => {
            "RequireDualStack".into()
        }
        None => "SingleStack".into(),
    }
}

/// Asking for a single family gives up the second of what has not changed otherwise.
fn release_second(service: &mut Value, old: Option<&Value>) {
    for field in ["clusterIPs", "ipFamilies"] {
        let unchanged = old.is_some_and(|old| old["spec"][field] == service["spec"][field]);
        if let Some(list) = service["spec"][field].as_array_mut().filter(|_| unchanged) {
            list.truncate(1);
        }
    }
}

fn single_stack_errors(service: &Value) -> Vec<FieldError> {
    let spec = &service["spec"];
    let policy = &spec["ipFamilyPolicy"];
    let count = |field: &str| spec[field].as_array().map_or(0, Vec::len);
    let refused = [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")]
        .into_iter()
        .filter(|(field, _)| policy == "SingleStack" && count(field) == 2);
    let path = Path::new("spec.ipFamilyPolicy");
    refused
        .map(|(_, what)| {
            let detail =
                format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
            FieldError::invalid(&path, policy, &detail)
        })
        .collect()
}

/// An address that was asked for says its family.
fn infer_families(service: &mut Value, errors: &mut Vec<FieldError>) {
    let ips = service["spec"]["clusterIPs"].clone();
    let known = service["spec"]["ipFamilies"].as_array().map_or(0, Vec::len);
    let listed = ips.as_array().into_iter().flatten().filter_map(Value::as_str).enumerate();
    let mut inferred = vec![];
    for (i, ip) in listed.take_while(|(_, ip)| *ip != "None").skip(known) {
        if ip.contains(':') {
            let path = Path::new("spec.clusterIPs").index(i);
            errors.push(FieldError::invalid(&path, &ips, "IPv6 is not configured on this cluster"));
        } else {
            inferred.push(Value::from(OWN));
        }
    }
    if !inferred.is_empty() {
        let mut families = service["spec"]["ipFamilies"].as_array().cloned().unwrap_or_default();
        families.extend(inferred);
        service["spec"]["ipFamilies"] = Value::Array(families);
    }
}

/// Nobody but its author knows what a headless service without a selector leads to: any family.
fn any_family(service: &mut Value) {
    let mut families = service["spec"]["ipFamilies"].as_array().cloned().unwrap_or_default();
    if families.is_empty() {
        families.push(OWN.into());
    }
    if families.len() < 2 && service["spec"]["ipFamilyPolicy"] != "SingleStack" {
        families.push(if families[0] == OWN { "IPv6" } else { OWN }.into());
    }
    service["spec"]["ipFamilies"] = Value::Array(families);
}

fn unavailable(service: &Value) -> Vec<FieldError> {
    let spec = &service["spec"];
    let mut errors = vec![];
    if spec["ipFamilyPolicy"] == "RequireDualStack" {
        let path = Path::new("spec.ipFamilyPolicy");
        let detail = "this cluster is not configured for dual-stack services";
        errors.push(FieldError::invalid(&path, &spec["ipFamilyPolicy"], detail));
    }
    let families = spec["ipFamilies"].as_array().into_iter().flatten().enumerate();
    for (i, family) in families.filter(|(_, family)| *family != OWN) {
        let path = Path::new("spec.ipFamilies").index(i);
        errors.push(FieldError::invalid(&path, family, "not configured on this cluster"));
    }
    errors
}

fn is_headless(service: &Value) -> bool {
    service["spec"]["clusterIP"] == "None"
}

fn has_no_selector(service: &Value) -> bool {
    service["spec"]["selector"].as_object().is_none_or(|selector| selector.is_empty())
}

fn is_empty(list: &Value) -> bool {
    list.as_array().is_none_or(Vec::is_empty)
}

fn refuse(service: &Value, errors: Vec<FieldError>) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let kind = GroupKind { group: String::new(), kind: "Service".into() };
    Err(ApiError::Invalid { kind, name: meta::name(service).into(), errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(spec: Value, old: Option<Value>) -> Result<Value> {
        let mut service = json!({"metadata": {"name": "s"}, "spec": spec});
        settle(&mut service, old.map(|spec| json!({"spec": spec})).as_ref(), true)?;
        Ok(service["spec"].take())
    }

    #[test]
    fn fills_in_what_was_left_out() {
        let spec = settled(json!({"type": "ClusterIP", "clusterIP": "10.0.0.9"}), None).unwrap();
        assert_eq!(spec["clusterIPs"], json!(["10.0.0.9"]));
        assert_eq!((&spec["ipFamilies"], &spec["ipFamilyPolicy"]), (&json!(["IPv4"]), &json!("SingleStack")));
        let headless = settled(json!({"type": "ClusterIP", "clusterIP": "None"}), None).unwrap();
        assert_eq!(headless["ipFamilies"], json!(["IPv4", "IPv6"]));
    }

    #[test]
    fn refuses_what_it_cannot_give() {
        let dual = json!({"type": "ClusterIP", "ipFamilyPolicy": "RequireDualStack"});
        let error = settled(dual, None).unwrap_err().to_string();
        assert!(error.contains("this cluster is not configured for dual-stack services"), "{error}");
        let six = json!({"type": "ClusterIP", "ipFamilies": ["IPv6"]});
        assert!(settled(six, None).unwrap_err().to_string().contains("not configured on this cluster"));
    }

    #[test]
    fn a_new_cluster_ip_is_both_of_its_names() {
        let old = json!({"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilyPolicy": "SingleStack"});
        let new = json!({"type": "ClusterIP", "clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.1"]});
        assert_eq!(settled(new, Some(old)).unwrap()["clusterIPs"], json!(["10.0.0.2"]));
    }
}
