//! Which container of a pod a connect verb means.

use object::{ApiError, Result, meta};
use serde_json::Value;

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// The container that `named` means: itself when the pod has it; when empty, the only regular one.
///
/// # Errors
/// `BadRequest` when there is no such container, or when there are several to choose from.
pub fn choose(pod: &Value, named: &str) -> Result<String> {
    let name = meta::name(pod);
    let all: Vec<&str> = LISTS.iter().flat_map(|list| names(pod, list)).collect();
    if !named.is_empty() {
        return match all.contains(&named) {
            true => Ok(named.to_owned()),
            false => Err(ApiError::BadRequest(format!("container {named} is not valid for pod {name}"))),
        };
    }
    let mut regular = names(pod, "containers");
    match (regular.next(), regular.next()) {
        (Some(only), None) => Ok(only.to_owned()),
        (None, _) => Err(ApiError::BadRequest(format!("a container name must be specified for pod {name}"))),
        _ => Err(ApiError::BadRequest(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            all.join(" ")
        ))),
    }
}

fn names<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    pod["spec"][list].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn several_containers_must_be_chosen_from() {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}});
        assert_eq!(choose(&pod, "").unwrap(), "a");
        assert_eq!(choose(&pod, "b").unwrap_err().to_string(), "container b is not valid for pod p");
        pod["spec"]["containers"] = json!([{"name": "a"}, {"name": "b"}]);
        pod["spec"]["initContainers"] = json!([{"name": "i"}]);
        let error = choose(&pod, "").unwrap_err();
        assert_eq!(error.to_string(), "a container name must be specified for pod p, choose one of: [i a b]");
        assert_eq!(choose(&pod, "i").unwrap(), "i");
    }
}
