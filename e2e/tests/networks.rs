//! NetworkPolicies and Ingresses: what of them the host gets, and what a tenant cannot reach with them.

use e2e::Joey;

/// `joey up`, and a virtual cluster `net` with this spec.
struct Net(Joey);

impl Net {
    fn up(spec: &str) -> Option<Self> {
        let joey = Joey::up()?;
        let manifest = format!(
            "apiVersion: joey.dev/v1alpha1\nkind: VirtualCluster\nmetadata: {{name: net, namespace: joey-host-of-net}}\nspec: {spec}\n"
        );
        joey.host(&["create", "namespace", "joey-host-of-net"]);
        let said = joey.joey(&["create", "-f", &joey.write("net.yaml", &manifest), "--wait"]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert_eq!(joey.joey(&["connect", "net"]).code, 0);
        Some(Self(joey))
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        self.0.kubectl_in("joey-net", arguments)
    }

    fn host(&self, arguments: &[&str]) -> String {
        self.0.host(&[&["-n", "joey-host-of-net"], arguments].concat())
    }

    /// Waits until something holds for a host object.
    fn host_wait(&self, object: &str, what: &str) {
        self.host(&["wait", what, object, "--timeout=60s"]);
    }

    /// Fields of a host object, once it is there.
    fn field(&self, object: &str, fields: &str) -> String {
        self.host_wait(object, "--for=create");
        self.host(&["get", object, "-o", &format!("jsonpath={fields}")])
    }
}

const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  egress: [{to: [{ipBlock: {cidr: 169.254.169.254/32}}]}, {to: [{ipBlock: {cidr: 1.1.1.1/32}}]}]
";

#[test]
fn a_tenants_policies_hold_within_its_fence() {
    let Some(net) = Net::up("{isolation: {networkPolicy: true}}") else { return };
    net.kubectl(&["run", "web", "--image=nginx", "--labels=app=web"]);
    net.kubectl(&["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"]);
    net.kubectl(&["apply", "-f", &net.0.write("policy.yaml", POLICY)]);
    let (pod, policy) = ("pod/web-x-default-x-net", "networkpolicy/closed-x-default-x-net");
    let metadata_stays_out_of_reach = r#"[{"to":[{"ipBlock":{"cidr":"1.1.1.1/32"}}]}]"#;
    assert_eq!(net.field(policy, "{.spec.egress}"), metadata_stays_out_of_reach);
    let judged = |value: &str| format!("--for=jsonpath={{.metadata.labels.joey\\.dev/policies}}{value}");
    net.host_wait(pod, &judged("=ingress-egress"));
    // Who takes it away, or opens it, on the host does so in vain.
    net.host(&["delete", policy]);
    net.host_wait(policy, "--for=create");
    net.host(&["patch", policy, "--type=merge", "-p", r#"{"spec":{"egress":[{}]}}"#]);
    net.host_wait(policy, "--for=jsonpath={.spec.egress[0].to[0].ipBlock.cidr}=1.1.1.1/32");
    net.kubectl(&["delete", "networkpolicy", "closed"]);
    net.host_wait(policy, "--for=delete");
    net.kubectl(&["label", "pod", "web", "seen=after"]);
    net.host_wait(pod, "--for=jsonpath={.metadata.labels.seen}=after");
    assert_eq!(
        net.field(pod, "{.metadata.labels.joey\\.dev/policies}"),
        "",
        "the fence alone judges it again"
    );
}

#[test]
fn ingresses_go_to_the_classes_and_names_that_are_given() {
    let spec = r#"{policy: {ingressClasses: [nginx], ingressHosts: ["*.demo.example"]}}"#;
    let Some(net) = Net::up(spec) else { return };
    net.kubectl(&["create", "secret", "generic", "cert", "--from-literal=tls.crt=x"]);
    let create = |name: &str, class: &str, rule: &str| {
        net.kubectl(&["create", "ingress", name, &format!("--class={class}"), &format!("--rule={rule}")]);
    };
    create("web", "nginx", "www.demo.example/=web:80,tls=cert");
    let host = "ingress/web-x-default-x-net";
    let fields = "{.spec.rules[0].http.paths[0].backend.service.name} {.spec.tls[0].secretName}";
    assert_eq!(net.field(host, fields), "web-x-default-x-net cert-x-default-x-net");
    assert_eq!(net.field("secret/cert-x-default-x-net", "{.data}"), r#"{"tls.crt":"eA=="}"#);
    let status = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}"#;
    net.host(&["patch", host, "--subresource=status", "--type=merge", "-p", status]);
    let told = "--for=jsonpath={.status.loadBalancer.ingress[0].ip}=192.0.2.1";
    net.kubectl(&["wait", told, "ingress/web", "--timeout=60s"]);

    create("thief", "nginx", "www.bank.example/=web:80");
    create("own", "traefik", "www.bank.example/=web:80");
    let events = "kubectl --context joey-net get events --field-selector involvedObject.name=thief";
    let line = format!(
        "until {events} -o name | grep -q .; do :; done; {events} -o jsonpath='{{.items[*].message}}'"
    );
    let said = net.0.shell(&line, "");
    assert!(
        said.out.contains("spec.rules[0].host (www.bank.example) is not allowed"),
        "{}{}",
        said.out,
        said.err
    );
    assert_eq!(
        net.host(&["get", "ingresses", "-o", "name"]).trim(),
        "ingress.networking.k8s.io/web-x-default-x-net"
    );
    net.kubectl(&["delete", "ingress", "web"]);
    net.host_wait(host, "--for=delete");
}

/// A published service leads to the tenant's own pods only, whichever way it is published.
#[test]
fn an_ingress_does_not_publish_the_hosts_network() {
    let spec = r#"{policy: {ingressClasses: [nginx], ingressHosts: ["*"]}}"#;
    let Some(net) = Net::up(spec) else { return };
    let service = "
apiVersion: v1
kind: Service
metadata: {name: inside}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: inside, labels: {kubernetes.io/service-name: inside}}
addressType: IPv4
ports: [{port: 80}]
endpoints: [{addresses: [10.0.0.9]}]
";
    net.kubectl(&["apply", "-f", &net.0.write("service.yaml", service)]);
    let slice = "endpointslice/inside-x-default-x-net";
    assert_eq!(
        net.field(slice, "{.endpoints[*].addresses[0]}"),
        "10.0.0.9",
        "nothing leads there from outside"
    );
    net.kubectl(&["create", "ingress", "out", "--class=nginx", "--rule=www.demo.example/=inside:80"]);
    net.host_wait("ingress/out-x-default-x-net", "--for=create");
    assert_eq!(net.field(slice, "{.endpoints[*].addresses[0]}"), "", "and nothing does now");
}
