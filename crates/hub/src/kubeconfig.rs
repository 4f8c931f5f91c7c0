//! kubeconfigs: written for a control plane, merged into a person's own without losing anything of theirs.

use crate::Error;
use crate::identity::{Credentials, write_private};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use object::{Value, json};
use std::path::Path;

/// What a context leads to.
pub struct Access {
    /// Name of the context, the cluster and the user.
    pub context: String,
    /// `https://address:port`.
    pub server: String,
    /// PEM of the CA that signed the server's certificate.
    pub ca_pem: String,
    /// The user's certificate.
    pub credentials: Credentials,
}

impl Access {
    /// A kubeconfig with this one context.
    pub fn to_config(&self) -> Value {
        let mut config = empty();
        self.add_to(&mut config);
        config["current-context"] = self.context.clone().into();
        config
    }

    /// Adds or replaces this context, its cluster and its user; everything else stays.
    pub fn add_to(&self, config: &mut Value) {
        let encode = |text: &str| STANDARD.encode(text);
        let cluster = json!({"server": self.server, "certificate-authority-data": encode(&self.ca_pem)});
        let user = json!({
            "client-certificate-data": encode(&self.credentials.certificate), "client-key-data": encode(&self.credentials.key),
        });
        let context = json!({"cluster": self.context, "user": self.context});
        for (list, key, value) in
            [("clusters", "cluster", cluster), ("users", "user", user), ("contexts", "context", context)]
        {
            set_named(config, list, &self.context, key, value);
        }
    }
}

/// A kubeconfig without contexts.
pub fn empty() -> Value {
    json!({"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": [], "current-context": ""})
}

fn set_named(config: &mut Value, list: &str, name: &str, key: &str, value: Value) {
    if !config[list].is_array() {
        config[list] = json!([]);
    }
    let Some(all) = config[list].as_array_mut() else { return };
    let entry = json!({"name": name, key: value});
    match all.iter_mut().find(|e| e["name"] == name) {
        Some(held) => *held = entry,
        None => all.push(entry),
    }
}

/// Adds or replaces everything that `from` holds; everything else stays.
pub fn merge(config: &mut Value, from: &Value) {
    for (list, key) in [("clusters", "cluster"), ("users", "user"), ("contexts", "context")] {
        for entry in from[list].as_array().into_iter().flatten() {
            set_named(config, list, entry["name"].as_str().unwrap_or(""), key, entry[key].clone());
        }
    }
}

/// The kubeconfig that a virtual cluster's Secret holds.
///
/// # Errors
/// When there is none in it.
pub fn from_secret(secret: &Value) -> Result<Value, Error> {
    let text = secret["data"]["config"].as_str().and_then(|t| STANDARD.decode(t).ok());
    let config = text.and_then(|t| serde_saphyr::from_str(&String::from_utf8(t).ok()?).ok());
    config.ok_or_else(|| Error(format!("secret {} holds no kubeconfig", secret["metadata"]["name"])))
}

/// Adds a control plane's own context to a kubeconfig file and makes it current if none is; everything else stays.
///
/// # Errors
/// When the file cannot be used, or has something of that name that joey did not put there.
pub fn keep(file: &Path, access: &Access) -> Result<(), Error> {
    let mut config = read(file)?;
    let name = &access.context;
    if is_foreign(&config, name) {
        return Err(Error(format!(
            "{} has a context, cluster or user {name} that is not joey's: rename it, or give another file",
            file.display()
        )));
    }
    access.add_to(&mut config);
    set_host(&mut config, name, name);
    if config["current-context"].as_str().unwrap_or("").is_empty() {
        config["current-context"] = name.clone().into();
    }
    write(file, &config)
}

/// Name of the kubeconfig extension in which joey notes where a context leads back to.
const EXTENSION: &str = "joey.dev";

/// Notes in a virtual cluster's context which context its host is.
pub fn set_host(config: &mut Value, context: &str, host: &str) {
    let all = config["contexts"].as_array_mut();
    let found = all.into_iter().flatten().find(|e| e["name"] == context);
    if let Some(entry) = found.filter(|e| e["context"].is_object()) {
        entry["context"]["extensions"] = json!([{"name": EXTENSION, "extension": {"host": host}}]);
    }
}

/// Whether a context, cluster or user of this name is there that joey did not make.
pub fn is_foreign(config: &Value, name: &str) -> bool {
    let there = |list: &str| config[list].as_array().into_iter().flatten().any(|e| e["name"] == name);
    host_of(config, name).is_none() && ["contexts", "clusters", "users"].into_iter().any(there)
}

/// The contexts that lead to virtual clusters of a host, and to the host itself where joey made that.
pub fn contexts_of<'a>(config: &'a Value, host: &'a str) -> impl Iterator<Item = &'a str> {
    let names = config["contexts"].as_array().into_iter().flatten().filter_map(|e| e["name"].as_str());
    names.filter(move |name| host_of(config, name) == Some(host))
}

/// The host context of a virtual cluster's context, as [`set_host`] noted it.
pub fn host_of<'a>(config: &'a Value, context: &str) -> Option<&'a str> {
    let entry = config["contexts"].as_array()?.iter().find(|e| e["name"] == context)?;
    let extension = entry["context"]["extensions"].as_array()?.iter().find(|e| e["name"] == EXTENSION)?;
    extension["extension"]["host"].as_str()
}

/// The namespace that a context's commands work in.
pub fn namespace_of<'a>(config: &'a Value, context: &str) -> Option<&'a str> {
    let entry = config["contexts"].as_array()?.iter().find(|e| e["name"] == context)?;
    entry["context"]["namespace"].as_str()
}

/// Removes a context with its cluster and user. `false` when it was not there.
pub fn remove(config: &mut Value, name: &str) -> bool {
    let mut removed = false;
    for list in ["clusters", "users", "contexts"] {
        if let Some(all) = config[list].as_array_mut() {
            let before = all.len();
            all.retain(|e| e["name"] != name);
            removed |= all.len() != before;
        }
    }
    removed
}

/// Reads a kubeconfig; an absent file is an empty one.
///
/// # Errors
/// When it cannot be read or is not a kubeconfig.
pub fn read(path: &Path) -> Result<Value, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(empty()),
        Err(e) => return Err(Error::file("read", path, &e)),
    };
    if text.trim().is_empty() {
        return Ok(empty());
    }
    let malformed = |why: String| Error(format!("{} is not a kubeconfig: {why}", path.display()));
    // Without the lines around it, which may hold keys.
    let config: Value =
        serde_saphyr::from_str(&text).map_err(|e| malformed(e.without_snippet().to_string()))?;
    if !config.is_object() || config.get("kind").is_some_and(|k| k != "Config") {
        return Err(malformed("its kind is not Config".into()));
    }
    Ok(config)
}

/// Writes a kubeconfig that only its owner may read.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, config: &Value) -> Result<(), Error> {
    // A link stays a link: what it leads to is written.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    write_private(&real, &to_text(config)?)
}

/// A kubeconfig as YAML.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn to_text(config: &Value) -> Result<String, Error> {
    serde_saphyr::to_string(config).map_err(|e| Error(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_stays() {
        let theirs = json!({"name": "work", "context": {"cluster": "work", "user": "me"}});
        let mut config = json!({"contexts": [theirs], "clusters": [], "users": [], "current-context": "work", "preferences": {"colors": true}});
        let own = json!({"contexts": [{"name": "joey-demo", "context": {"cluster": "joey-demo"}}]});
        assert!(!is_foreign(&config, "joey-demo") && is_foreign(&config, "work"));
        config["users"] = json!([{"name": "joey-demo", "user": {"token": "theirs"}}]);
        assert!(is_foreign(&config, "joey-demo"), "their user of that name is not ours to replace");
        config["users"] = json!([]);
        merge(&mut config, &own);
        set_host(&mut config, "joey-demo", "joey-host");
        assert_eq!(host_of(&config, "joey-demo"), Some("joey-host"));
        assert!(!is_foreign(&config, "joey-demo"));
        assert_eq!(contexts_of(&config, "joey-host").collect::<Vec<_>>(), ["joey-demo"]);
        assert_eq!(config["preferences"]["colors"], true);
        assert!(remove(&mut config, "joey-demo") && !remove(&mut config, "joey-demo"));
        assert_eq!(config["contexts"], json!([theirs]));
    }

    /// People, and other programs, write kubeconfigs.
    #[test]
    fn nothing_in_a_kubeconfig_makes_it_fall() {
        let odd = [
            "",
            "~",
            "7",
            "text",
            "[]",
            "[[]]",
            "[~, 7, text]",
            "{}",
            "{a: b}",
            "[{name: a}]",
            "[{name: a, context: text}]",
            "[{name: a, context: {extensions: 7}}]",
            "[{name: a, context: {extensions: [{name: joey.dev, extension: 7}]}}]",
            "[{name: [], context: ~}]",
        ];
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let own = json!({"contexts": [{"name": "b", "context": "text"}], "clusters": "text", "users": [7]});
        for (list, value) in ["contexts", "clusters", "users"].iter().flat_map(|l| odd.map(|v| (l, v))) {
            std::fs::write(&file, format!("kind: Config\n{list}: {value}\n")).unwrap();
            let Ok(mut config) = read(&file) else { continue };
            for name in ["a", "b"] {
                let _ = (is_foreign(&config, name), host_of(&config, name), namespace_of(&config, name));
                merge(&mut config, &own);
                set_host(&mut config, name, "host");
                assert!(contexts_of(&config, "host").count() <= 1);
            }
            write(&file, &config).unwrap();
            assert_eq!(read(&file).unwrap(), config, "{list}: {value}");
            remove(&mut config, "a");
        }
    }

    #[test]
    fn what_is_no_kubeconfig_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        assert_eq!(read(&file).unwrap(), empty());
        std::fs::write(&file, "kind: Pod\n").unwrap();
        assert!(read(&file).unwrap_err().0.contains("is not a kubeconfig: its kind is not Config"));
        std::fs::write(&file, "token: hunter2\na: [").unwrap();
        let said = read(&file).unwrap_err().0;
        assert!(said.contains("is not a kubeconfig") && !said.contains("hunter2"), "{said}");
    }
}
