//! Labels of nodes that have a new name.

use super::Warnings;
use crate::node::Node;
use object::names;

const RENAMED: [(&str, &str, &str); 5] = [
    ("beta.kubernetes.io/arch", "v1.14", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "v1.14", "kubernetes.io/os"),
    ("failure-domain.beta.kubernetes.io/region", "v1.17", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "v1.17", "topology.kubernetes.io/zone"),
    ("beta.kubernetes.io/instance-type", "v1.17", "node.kubernetes.io/instance-type"),
];

/// Since when a label of nodes is not to be used, and what is instead.
pub fn deprecated(key: &str) -> Option<String> {
    let (_, since, instead) = RENAMED.iter().find(|(name, ..)| *name == key)?;
    Some(format!("deprecated since {since}; use \"{instead}\" instead"))
}

/// A map of labels that nodes must have.
pub fn map(w: &mut Warnings, labels: &Node<'_>) {
    for (key, node) in labels.entries() {
        w.extend(deprecated(key).map(|message| format!("{}: {message}", node.path)));
    }
}

fn key(w: &mut Warnings, expression: &Node<'_>) {
    let key = expression.get("key");
    w.extend(deprecated(key.text()).map(|message| format!("{}: {} is {message}", key.path, key.text())));
}

/// A node selector term; `values` tells whether values that no label can have are allowed there.
pub fn term(w: &mut Warnings, term: &Node<'_>, values: bool) {
    for expression in term.get("matchExpressions").items() {
        key(w, &expression);
        for value in expression.get("values").items().filter(|_| values) {
            let messages = names::label_value(value.text());
            w.extend(messages.iter().map(|m| format!("{}: {} is invalid, {m}", value.path, value.text())));
        }
    }
}

/// A label selector for nodes.
pub fn selector(w: &mut Warnings, selector: &Node<'_>) {
    selector.get("matchExpressions").items().for_each(|expression| key(w, &expression));
    let labels = selector.get("matchLabels");
    for (label, _) in labels.entries() {
        w.extend(deprecated(label).map(|message| format!("{}: {message}", labels.path.field(label))));
    }
}
