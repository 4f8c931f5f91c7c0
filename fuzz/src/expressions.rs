//! CEL, and the schemas of custom resources with it. Whatever a tenant writes ends within its budget.

use crate::targets::{line, text};
use cel_rules::{Budget, Decl, Environment, Program, Value, check_rules, has_rules};
use object::Path;
use schema::custom;
use schema::decode::Strictness;
use std::sync::OnceLock;

/// As much as one rule may use.
const LIMIT: u64 = 1_000_000;

/// An expression, and on the next line `self` as JSON.
pub(crate) fn cel(data: &[u8]) {
    let (expression, object) = line(data);
    if let Some(expression) = text(expression) {
        let object = serde_json::from_slice(object).unwrap_or_default();
        run(expression, &object);
    }
}

fn environment() -> &'static Environment {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| Environment::new().with("self", Decl::any()))
}

fn run(expression: &str, object: &object::Value) {
    if let Ok(program) = Program::compile(expression, environment()) {
        evaluate(&program, object);
    }
}

fn evaluate(program: &Program, object: &object::Value) {
    let Ok(this) = Value::from_json(object, &Decl::any()) else { return };
    let mut budget = Budget::new(LIMIT);
    let _ = program.evaluate(&vec![("self", this)], &mut budget);
}

/// A text for the functions that read one.
pub(crate) fn cel_functions(data: &[u8]) {
    static PROGRAMS: OnceLock<Vec<Program>> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| {
        let compile =
            |text: &&str| Program::compile(text, environment()).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        FUNCTIONS.iter().map(compile).collect()
    });
    let Some(text) = text(data) else { return };
    let object = text.into();
    programs.iter().for_each(|program| evaluate(program, &object));
}

const FUNCTIONS: [&str; 19] = [
    "quantity(self).add(quantity('1')).compareTo(quantity(self))",
    "isQuantity(self)",
    "semver(self).isGreaterThan(semver('1.2.3'))",
    "isSemver(self) && semver(self, true).major() > 0",
    "url(self).getHost() + url(self).getEscapedPath() + string(url(self).getQuery().size())",
    "ip(self).family() == 4 || ip.isCanonical(self)",
    "cidr(self).containsIP('10.0.0.1') || cidr(self).masked() == cidr(self)",
    "format.named('datetime').value().validate(self)",
    "format.dns1123Subdomain().validate(self)",
    "timestamp(self).getFullYear('Europe/Berlin')",
    "duration(self) + duration('1s')",
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.matches(self)",
    "self.matches('^(a+)+$') || self.find('[0-9]+') != ''",
    "self.findAll('[a-z]*').size()",
    "self.split(',').map(x, x.trim()).join(';').replace(' ', '')",
    "self.lowerAscii().upperAscii().substring(1)",
    "'%s %d'.format([self, 1]).size() + string(bytes(self)).size()",
    "int(self) + 1",
    "double(self) * 2.0",
];

/// A schema of a custom resource, and on the next line an object.
pub(crate) fn crd_schema(data: &[u8]) {
    let (schema, object) = line(data);
    let Ok(schema) = serde_json::from_slice::<object::Value>(schema) else { return };
    check_rules(&schema, &Path::new("schema"));
    custom::check_definition(&schema, &Path::new("schema"), true);
    let compiled = custom::compile(&schema);
    let schema = compiled.schema();
    let Ok(read) = custom::decode_json(schema, object, Strictness::Warn) else { return };
    for old in [None, Some(&read.value)] {
        custom::validate_schema(schema, &read.value, old);
        custom::validate_status(schema, &read.value, old);
        custom::validate_rest(schema, &read.value, old);
    }
    if has_rules(schema, &read.value) {
        cel_rules::validate(schema, &read.value, None, &mut |_| ());
    }
}
