use super::*;
use crate::Network;
use expect_test::{Expect, expect};
use std::collections::BTreeMap;

fn namespaces() -> Namespaces {
    let labels = |name: &str, team: &str| {
        let pairs = [("kubernetes.io/metadata.name", name), ("team", team)];
        (name.to_owned(), pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into())
    };
    BTreeMap::from([labels("shop", "a"), labels("pay", "b"), labels("kube-system", "")])
}

fn cluster(fenced: bool) -> Cluster {
    let ways = Ways { ip: [192, 0, 2, 7].into(), api: 6443, dns: (5353, 5354) };
    let dns = Some([10, 96, 0, 10].into());
    Cluster { network: Network { ways: Some(ways), fenced }, dns, ..Cluster::test() }
}

fn check(fenced: bool, spec: Value, expected: Expect) {
    let policy = json!({"metadata": {"name": "p", "namespace": "shop", "uid": "u"}, "spec": spec});
    let host = network_policy(&cluster(fenced), &policy, &namespaces()).unwrap();
    let mut lines = vec![format!("pods {}", host["spec"]["podSelector"])];
    for (field, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in host["spec"][field].as_array().into_iter().flatten() {
            lines.push(format!("{field} {peers}"));
            match rule[peers].as_array() {
                None => lines.push("  anybody".into()),
                Some(all) => lines.extend(all.iter().map(|peer| format!("  {peer}"))),
            }
            if rule["ports"].is_array() {
                lines.push(format!("  ports {}", rule["ports"]));
            }
        }
    }
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn selectors_mean_the_tenants_own_pods() {
    let spec = json!({
        "podSelector": {"matchLabels": {"app": "db", "joey.dev/cluster": "another"}}, "policyTypes": ["Ingress"],
        "ingress": [{
            "from": [
                {"podSelector": {"matchLabels": {"app": "web"}}},
                {"namespaceSelector": {"matchLabels": {"team": "b"}}},
                {"namespaceSelector": {"matchLabels": {"team": "nobody"}}},
                {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "metrics"}}},
            ],
            "ports": [{"protocol": "TCP", "port": "sql"}, {"port": 8000, "endPort": 8010}],
        }],
    });
    check(
        false,
        spec,
        expect![[r#"
        pods {"matchExpressions":[{"key":"joey.dev/cluster","operator":"In","values":["demo"]},{"key":"joey.dev/namespace","operator":"In","values":["shop"]}],"matchLabels":{"app":"db","held.joey.dev/joey.dev_cluster":"another"}}
        ingress from
          {"podSelector":{"matchExpressions":[{"key":"joey.dev/cluster","operator":"In","values":["demo"]},{"key":"joey.dev/namespace","operator":"In","values":["shop"]}],"matchLabels":{"app":"web"}}}
          {"podSelector":{"matchExpressions":[{"key":"joey.dev/cluster","operator":"In","values":["demo"]},{"key":"joey.dev/namespace","operator":"In","values":["pay"]}]}}
          {"podSelector":{"matchExpressions":[{"key":"joey.dev/cluster","operator":"In","values":["demo"]},{"key":"joey.dev/namespace","operator":"DoesNotExist"}]}}
          {"podSelector":{"matchExpressions":[{"key":"joey.dev/cluster","operator":"In","values":["demo"]}],"matchLabels":{"app":"metrics"}}}
          ports [{"port":"sql","protocol":"TCP"},{"endPort":8010,"port":8000}]"#]],
    );
}

#[test]
fn what_is_not_fenced_stays_as_it_was_said() {
    let spec = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [
        {}, {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 5432}]}]});
    check(
        false,
        spec,
        expect![[r#"
        pods {"matchExpressions":[{"key":"joey.dev/cluster","operator":"In","values":["demo"]},{"key":"joey.dev/namespace","operator":"In","values":["shop"]}]}
        ingress from
          anybody
        egress to
          anybody
        egress to
          {"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}
          ports [{"port":5432}]"#]],
    );
}

#[test]
fn no_rule_is_wider_than_the_fence() {
    let blocks = json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["1.1.1.1/32"]}}]);
    let spec = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{}, {"from": blocks}], "egress": [{}, {"to": blocks}, {"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}]}]});
    check(
        true,
        spec,
        expect![[r#"
        pods {"matchExpressions":[{"key":"joey.dev/cluster","operator":"In","values":["demo"]},{"key":"joey.dev/namespace","operator":"In","values":["shop"]}]}
        ingress from
          {"podSelector":{"matchLabels":{"joey.dev/cluster":"demo"}}}
        egress to
          {"podSelector":{"matchLabels":{"joey.dev/cluster":"demo"}}}
          {"ipBlock":{"cidr":"0.0.0.0/0","except":["10.0.0.0/8","172.16.0.0/12","192.168.0.0/16","100.64.0.0/10","169.254.0.0/16"]}}
          {"ipBlock":{"cidr":"::/0","except":["fc00::/7","fe80::/10","64:ff9b::a00:0/104","64:ff9b::ac10:0/108","64:ff9b::c0a8:0/112","64:ff9b::6440:0/106","64:ff9b::a9fe:0/112","64:ff9b:1::/48"]}}
        egress to
          {"ipBlock":{"cidr":"192.0.2.7/32"}}
          ports [{"port":5353,"protocol":"UDP"},{"port":5354,"protocol":"TCP"},{"port":6443,"protocol":"TCP"}]
        egress to
          {"ipBlock":{"cidr":"0.0.0.0/0","except":["1.1.1.1/32","10.0.0.0/8","172.16.0.0/12","192.168.0.0/16","100.64.0.0/10","169.254.0.0/16"]}}
        egress to
          {"ipBlock":{"cidr":"192.0.2.7/32"}}
          ports [{"port":5353,"protocol":"UDP"},{"port":5354,"protocol":"TCP"},{"port":6443,"protocol":"TCP"}]"#]],
    );
}

#[test]
fn ways_to_dns_and_the_api_are_named_as_elsewhere() {
    let system = json!({"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}});
    let dns = json!({"namespaceSelector": system, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}});
    let other = json!({"namespaceSelector": system, "podSelector": {"matchLabels": {"app": "other"}}});
    let spec = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
        {"to": [dns], "ports": [{"protocol": "UDP", "port": 53}]},
        {"to": [other], "ports": [{"protocol": "UDP", "port": 53}]},
        {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}], "ports": [{"protocol": "TCP", "port": 6443}]},
    ]});
    check(
        true,
        spec,
        expect![[r#"
        pods {"matchExpressions":[{"key":"joey.dev/cluster","operator":"In","values":["demo"]},{"key":"joey.dev/namespace","operator":"In","values":["shop"]}]}
        egress to
          {"podSelector":{"matchExpressions":[{"key":"joey.dev/cluster","operator":"In","values":["demo"]},{"key":"joey.dev/namespace","operator":"In","values":["kube-system"]}],"matchLabels":{"k8s-app":"kube-dns"}}}
          ports [{"port":53,"protocol":"UDP"}]
        egress to
          {"ipBlock":{"cidr":"192.0.2.7/32"}}
          ports [{"port":5353,"protocol":"UDP"}]
        egress to
          {"podSelector":{"matchExpressions":[{"key":"joey.dev/cluster","operator":"In","values":["demo"]},{"key":"joey.dev/namespace","operator":"In","values":["kube-system"]}],"matchLabels":{"app":"other"}}}
          ports [{"port":53,"protocol":"UDP"}]
        egress to
          {"ipBlock":{"cidr":"192.0.2.7/32"}}
          ports [{"port":6443,"protocol":"TCP"}]
        egress to
          {"ipBlock":{"cidr":"192.0.2.7/32"}}
          ports [{"port":6443,"protocol":"TCP"}]"#]],
    );
}

#[test]
fn pods_know_by_which_policies_they_are_judged() {
    let policy =
        |selector: Value, types: Value| json!({"spec": {"podSelector": selector, "policyTypes": types}});
    let web = policy(json!({"matchLabels": {"app": "web"}}), json!(["Ingress"]));
    let all = policy(json!({}), json!(["Egress"]));
    let pod = |app: &str| json!({"metadata": {"labels": {"app": app}}});
    assert_eq!(directions([&web, &all], &pod("web")), Some("ingress-egress"));
    assert_eq!(directions([&web, &all], &pod("db")), Some("egress"));
    assert_eq!(directions([&web], &pod("web")), Some("ingress"));
    assert_eq!(directions([&web], &pod("db")), None);
}
