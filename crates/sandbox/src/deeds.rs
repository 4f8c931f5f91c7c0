//! Programs whose work others wait for: the few that make a Secret which the rest of their chart mounts. A simulated
//! container does this one thing for them, with the rights of its own service account, and says so in its log.

use access::CertificateAuthority;
use access::certificates::SubjectAltNames;
use jiff::Timestamp;
use object::Value;
use object::json;

/// What a program would leave behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// `argocd admin redis-initial-password`: Secret `argocd-redis`.
    RedisPassword,
    /// `kube-webhook-certgen create`: a Secret with a CA, a certificate for `hosts` and its key.
    WebhookCertificate {
        /// The Secret's name.
        secret: String,
        /// Names that the certificate is for.
        hosts: Vec<String>,
    },
}

impl Deed {
    /// The deed of a container that runs `argv`, if it is one of those known.
    pub fn of(container: &Value, argv: &[String]) -> Option<Self> {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let flag = |name: &str| argv.iter().find_map(|word| word.strip_prefix(name));
        match words.as_slice() {
            [program, "admin", "redis-initial-password", ..] if program.ends_with("argocd") => {
                Some(Self::RedisPassword)
            }
            ["create", ..]
                if container["image"].as_str().is_some_and(|i| i.contains("kube-webhook-certgen")) =>
            {
                let hosts = flag("--host=")?.split(',').map(str::to_owned).collect();
                Some(Self::WebhookCertificate { secret: flag("--secret-name=")?.to_owned(), hosts })
            }
            _ => None,
        }
    }

    /// The Secret's name.
    pub fn secret_name(&self) -> &str {
        match self {
            Self::RedisPassword => "argocd-redis",
            Self::WebhookCertificate { secret, .. } => secret,
        }
    }

    /// The Secret to make; `random` is some.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn secret(&self, namespace: &str, random: &str, now: Timestamp) -> Result<Value, String> {
        let data = match self {
            Self::RedisPassword => json!({"auth": random}),
            Self::WebhookCertificate { hosts, .. } => {
                let now = now.as_second();
                let authority =
                    CertificateAuthority::generate("simulated-ca", now).map_err(|e| e.to_string())?;
                let names = SubjectAltNames::hosts(hosts.iter().map(String::as_str));
                let issued = authority.issue_server("simulated", &names, now).map_err(|e| e.to_string())?;
                json!({"ca": authority.certificate_pem(), "cert": issued.certificate_pem(), "key": issued.key_pem()})
            }
        };
        Ok(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "stringData": data,
            "metadata": {"name": self.secret_name(), "namespace": namespace},
        }))
    }

    /// What the log says of it.
    pub fn says(&self) -> String {
        format!(
            "sandbox: the program is simulated, but Secret {} was made as it would have been\n",
            self.secret_name()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn known_programs_leave_their_secret() {
        let argocd = json!({"image": "quay.io/argoproj/argocd:v3"});
        let deed = Deed::of(&argocd, &words("argocd admin redis-initial-password")).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(deed.secret("n", "x", now).unwrap()["stringData"], json!({"auth": "x"}));
        let certgen = json!({"image": "registry.k8s.io/ingress-nginx/kube-webhook-certgen:v1"});
        let deed =
            Deed::of(&certgen, &words("create --host=a,a.n.svc --namespace=n --secret-name=s")).unwrap();
        assert_eq!(deed, Deed::WebhookCertificate { secret: "s".into(), hosts: words("a a.n.svc") });
        let secret = deed.secret("n", "", now).unwrap();
        assert!(secret["stringData"]["cert"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE"));
        assert_eq!(Deed::of(&certgen, &words("patch --secret-name=s")), None);
        assert_eq!(Deed::of(&argocd, &words("argocd-server")), None);
    }
}
