//! What an expression may cost at most, judged by its text and the schema of `self`.
//!
//! Follows cel-go's estimate and Kubernetes' prices for its libraries, because which definitions are accepted depends on it.

use crate::ast::{Expr, Fold, Kind, Literal};
use crate::check::Checked;
use crate::library::{Library, Overload};
use crate::macros::RESULT;
use crate::types::{Decl, Shape, Type};
use std::collections::HashMap;
use std::sync::Arc;

/// The most that a checked expression costs on values of `root`.
pub(crate) fn estimate(checked: &Checked, root: &Arc<Decl>) -> u64 {
    let mut coster = Coster {
        checked,
        root: root.clone(),
        places: HashMap::new(),
        sizes: HashMap::new(),
        entries: HashMap::new(),
        locals: Vec::new(),
    };
    coster.cost(&checked.root)
}

const UNKNOWN: Size = Size { min: 0, max: u64::MAX };

/// How large a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Size {
    min: u64,
    max: u64,
}

impl Size {
    fn fixed(n: u64) -> Self {
        Self { min: n, max: n }
    }

    fn add(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    fn multiply(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

fn by(size: u64, factor: f64) -> u64 {
    // Casting saturates.
    (size as f64 * factor).ceil() as u64
}

/// Going over text.
fn traverse(size: Size) -> u64 {
    by(size.max, 0.1)
}

/// Where in the schema a value comes from.
#[derive(Clone, Debug)]
enum At {
    /// Made by the expression.
    Nowhere,
    /// Here.
    Decl(Arc<Decl>),
    /// Somewhere that the schema does not describe.
    Lost,
}

/// The sizes of a container's keys and values.
#[derive(Clone, Copy, Debug)]
struct Entries {
    list: bool,
    key: Size,
    value: Size,
}

struct Local {
    name: Box<str>,
    at: At,
    size: Option<Size>,
    entries: Option<Entries>,
}

struct Coster<'p> {
    checked: &'p Checked,
    root: Arc<Decl>,
    places: HashMap<u32, At>,
    sizes: HashMap<u32, Size>,
    entries: HashMap<u32, Entries>,
    locals: Vec<Local>,
}

impl Coster<'_> {
    fn type_of(&self, expr: &Expr) -> &Type {
        &self.checked.types[expr.id as usize]
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| *local.name == *name)
    }

    fn at(&self, expr: &Expr) -> At {
        if let Kind::Ident(name) = &expr.kind
            && let Some(local) = self.local(name)
        {
            return local.at.clone();
        }
        self.places.get(&expr.id).cloned().unwrap_or(At::Nowhere)
    }

    fn below(&self, at: &At, step: &str) -> At {
        let found = match at {
            // A path of one step: cel-go's estimator takes its first step for the variable.
            At::Nowhere => Some(self.root.clone()),
            At::Lost => None,
            At::Decl(decl) => match (step, &decl.shape) {
                ("@items" | "@values", _) => decl.element().cloned(),
                ("@keys", Shape::Map(_)) => Some(Decl::scalar(Type::String)),
                _ => decl.field(step).map(|field| field.decl.clone()),
            },
        };
        found.map_or(At::Lost, At::Decl)
    }

    fn size(&self, expr: &Expr) -> Option<Size> {
        if let Some(size) = self.sizes.get(&expr.id) {
            return Some(*size);
        }
        match &expr.kind {
            Kind::Literal(Literal::String(text)) => return Some(Size::fixed(text.chars().count() as u64)),
            Kind::Literal(Literal::Bytes(bytes)) => return Some(Size::fixed(bytes.len() as u64)),
            Kind::Literal(_) => return Some(Size::fixed(1)),
            Kind::List(items) => return Some(Size::fixed(items.len() as u64)),
            Kind::Map(entries) => return Some(Size::fixed(entries.len() as u64)),
            _ => {}
        }
        if let At::Decl(decl) = self.at(expr) {
            return Some(Size { min: 0, max: decl.max_elements.unwrap_or(0) });
        }
        if is_scalar(self.type_of(expr)) {
            return Some(Size::fixed(1));
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name).and_then(|local| local.size),
            _ => None,
        }
    }

    fn size_or_unknown(&self, expr: &Expr) -> Size {
        self.size(expr).unwrap_or(UNKNOWN)
    }

    fn entries(&self, expr: &Expr) -> Option<Entries> {
        if let Some(entries) = self.entries.get(&expr.id) {
            return Some(*entries);
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name).and_then(|local| local.entries),
            _ => None,
        }
    }

    fn cost(&mut self, expr: &Expr) -> u64 {
        match &expr.kind {
            Kind::Literal(_) => 0,
            Kind::Ident(name) => {
                let at = match self.local(name) {
                    Some(local) => local.at.clone(),
                    None => At::Decl(self.root.clone()),
                };
                self.places.insert(expr.id, at);
                1
            }
            Kind::Select { operand, test: true, .. } => self.cost(operand),
            Kind::Select { operand, field, .. } => {
                let cost = self.cost(operand);
                let own = matches!(self.type_of(operand), Type::Map(..) | Type::Struct(_) | Type::Param(_));
                let at = self.below(&self.at(operand), field);
                self.places.insert(expr.id, at);
                cost.saturating_add(u64::from(own))
            }
            Kind::Call { .. } => self.call(expr),
            Kind::List(items) => {
                let cost = items.iter().fold(10u64, |sum, (item, _)| sum.saturating_add(self.cost(item)));
                let sizes = items.iter().map(|(item, _)| self.size_or_unknown(item));
                let value = sizes.reduce(Size::union).unwrap_or(Size::fixed(0));
                self.entries.insert(expr.id, Entries { list: true, key: Size::fixed(1), value });
                cost
            }
            Kind::Map(entries) => {
                let mut cost = 30u64;
                for entry in entries {
                    cost = cost.saturating_add(self.cost(&entry.key)).saturating_add(self.cost(&entry.value));
                }
                let all = |sizes: Vec<Size>| sizes.into_iter().reduce(Size::union).unwrap_or(Size::fixed(0));
                let key = all(entries.iter().map(|e| self.size_or_unknown(&e.key)).collect());
                let value = all(entries.iter().map(|e| self.size_or_unknown(&e.value)).collect());
                self.entries.insert(expr.id, Entries { list: false, key, value });
                cost
            }
            Kind::Struct { fields, .. } => {
                fields.iter().fold(40u64, |sum, field| sum.saturating_add(self.cost(&field.value)))
            }
            Kind::Fold(fold) => self.fold(expr, fold),
        }
    }

    fn push(&mut self, name: &str, at: At, size: Option<Size>, entries: Option<Entries>) {
        self.locals.push(Local { name: name.into(), at, size, entries });
    }

    fn fold(&mut self, expr: &Expr, fold: &Fold) -> u64 {
        let mut cost = self.cost(&fold.range).saturating_add(self.cost(&fold.init));
        let depth = self.locals.len();
        let (at, size, entries) = (self.at(&fold.init), self.size(&fold.init), self.entries(&fold.init));
        self.push(&fold.accumulator, at, size, entries);
        let bound =
            matches!(&fold.range.kind, Kind::List(items) if items.is_empty()) && *fold.accumulator != *RESULT;
        if bound {
            cost = cost.saturating_add(self.cost(&fold.result));
            self.locals.truncate(depth);
            self.copy(expr, &fold.result);
            return cost;
        }
        self.push_variables(fold);
        let turn = self.cost(&fold.condition).saturating_add(self.cost(&fold.step));
        self.locals.truncate(depth + 1);
        cost = cost.saturating_add(self.cost(&fold.result));
        self.locals.truncate(depth);
        let count = self.size_or_unknown(&fold.range);
        match &fold.init.kind {
            Kind::Literal(_) => {
                if let Some(size) = self.size(&fold.init) {
                    self.sizes.insert(expr.id, size);
                }
            }
            Kind::List(_) | Kind::Map(_) => {
                self.sizes.insert(expr.id, count);
                if let Some(entries) = self.entries(&fold.step) {
                    self.entries.insert(expr.id, entries);
                }
            }
            _ => {}
        }
        cost.saturating_add(count.max.saturating_mul(turn))
    }

    fn push_variables(&mut self, fold: &Fold) {
        let entries = self.entries(&fold.range);
        let range = self.at(&fold.range);
        let list = entries.map_or_else(|| matches!(self.type_of(&fold.range), Type::List(_)), |e| e.list);
        let (key, value) = (entries.map(|e| e.key), entries.map(|e| e.value));
        let keys = self.below(&range, if list { "@indices" } else { "@keys" });
        let values = self.below(&range, if list { "@items" } else { "@values" });
        match &fold.second {
            Some(second) => {
                self.push(&fold.variable, keys, key, None);
                self.push(second, values, value, None);
            }
            None if list => self.push(&fold.variable, values, value, None),
            None => self.push(&fold.variable, keys, key, None),
        }
    }

    fn copy(&mut self, to: &Expr, from: &Expr) {
        if let Some(size) = self.size(from) {
            self.sizes.insert(to.id, size);
        }
        if let Some(entries) = self.entries(from) {
            self.entries.insert(to.id, entries);
        }
    }

    fn call(&mut self, expr: &Expr) -> u64 {
        let Kind::Call { function, target, args } = &expr.kind else { return 0 };
        if &**function == "dyn" && args.len() == 1 {
            let cost = self.cost(&args[0]).saturating_add(1);
            self.copy(expr, &args[0]);
            return cost;
        }
        let costs: Vec<u64> = args.iter().map(|arg| self.cost(arg)).collect();
        let own = target.as_ref().map_or(0, |t| self.cost(t));
        let sum = costs.iter().fold(0, |sum: u64, cost| sum.saturating_add(*cost));
        let target = target.as_deref();
        let (mut price, mut size) = (None::<u64>, None::<Size>);
        let overloads = Library::kubernetes().overloads(function);
        let chosen = self.checked.overloads[expr.id as usize].clone();
        if chosen.is_empty() {
            return own.saturating_add(sum).saturating_add(1);
        }
        for overload in chosen.iter().filter_map(|index| overloads.get(*index as usize)) {
            let (own_price, own_size) = self.priced(expr, function, overload, target, args, &costs, sum);
            price = Some(price.map_or(own_price, |p| p.max(own_price)));
            size = match (size, own_size) {
                (Some(a), Some(b)) => Some(a.union(b)),
                (a, b) => a.or(b),
            };
            if &**function == "_[_]" {
                let list = matches!(overload.params[0], Type::List(_));
                size = self.entries(&args[0]).map(|e| e.value);
                let at = self.below(&self.at(&args[0]), if list { "@items" } else { "@values" });
                self.places.insert(expr.id, at);
            }
        }
        if let Some(size) = size.or_else(|| self.size(expr)) {
            self.sizes.insert(expr.id, size);
        }
        own.saturating_add(price.unwrap_or(sum))
    }

    /// The price of a call including its arguments but not its target, and the size of its result.
    #[allow(clippy::too_many_arguments)]
    fn priced(
        &mut self,
        expr: &Expr,
        function: &str,
        overload: &Overload,
        target: Option<&Expr>,
        args: &[Expr],
        costs: &[u64],
        sum: u64,
    ) -> (u64, Option<Size>) {
        match function {
            "_&&_" | "_||_" => return (sum, None),
            "_?_:_" => {
                let size = self.size_or_unknown(&args[1]).union(self.size_or_unknown(&args[2]));
                if let (Some(a), Some(b)) = (self.entries(&args[1]), self.entries(&args[2])) {
                    let entries = Entries { key: a.key.union(b.key), value: a.value.union(b.value), ..a };
                    self.entries.insert(expr.id, entries);
                }
                return (costs[0].saturating_add(costs[1].max(costs[2])), Some(size));
            }
            "_+_" if matches!(overload.params[0], Type::String | Type::Bytes | Type::List(_)) => {
                let size = self.size_or_unknown(&args[0]).add(self.size_or_unknown(&args[1]));
                if let (Some(a), Some(b)) = (self.entries(&args[0]), self.entries(&args[1])) {
                    let entries = Entries { key: a.key.union(b.key), value: a.value.union(b.value), ..a };
                    self.entries.insert(expr.id, entries);
                }
                let own = if matches!(overload.params[0], Type::List(_)) { 1 } else { traverse(size) };
                return (sum.saturating_add(own), Some(size));
            }
            _ => {}
        }
        let (own, size) = self.own_price(function, overload, target, args);
        (sum.saturating_add(own), size)
    }

    fn own_price(
        &self,
        function: &str,
        overload: &Overload,
        target: Option<&Expr>,
        args: &[Expr],
    ) -> (u64, Option<Size>) {
        let first = |at: usize| args.get(at).map_or(UNKNOWN, |arg| self.size_or_unknown(arg));
        let whole = target.map(|t| self.size_or_unknown(t));
        let one = Size::fixed(1);
        let pattern =
            |text: Size, pattern: Size| traverse(text.add(one)).saturating_mul(by(pattern.max, 0.25));
        let bytes = Size { min: 4, max: 16 };
        match (function, whole) {
            ("check", _) => (350_000, None),
            ("fieldSelector" | "labelSelector", _) => {
                let length = first(0).max;
                let requirements = by(by(length, 0.5), 50.0);
                (10u64.saturating_add(by(length, 0.1)).saturating_add(requirements), None)
            }
            ("isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf", Some(size)) => {
                (self.walk(target, size), None)
            }
            ("sets.contains" | "sets.intersects" | "sets.equivalent", _) => {
                let turns = if function == "sets.equivalent" { 2.0 } else { 1.0 };
                (by(first(0).multiply(first(1)).max, turns).saturating_add(1), None)
            }
            ("slice", Some(size)) => {
                let (start, end) = (literal(args.first(), 0), literal(args.get(1), size.max));
                allocated(1.0, Size::fixed(end.wrapping_sub(start)))
            }
            ("lists.range", _) => allocated(1.0, Size::fixed(literal(args.first(), u64::MAX))),
            ("reverse", Some(size)) if matches!(overload.params[0], Type::List(_)) => allocated(1.0, size),
            ("flatten", Some(size)) => {
                let depth = if args.is_empty() { 1 } else { literal(args.first(), u64::MAX) };
                allocated(depth as f64, size)
            }
            ("distinct", Some(size)) => allocated(2.0, size.multiply(size)),
            ("sort", Some(size)) => allocated(comparing(&overload.params[0]), size.multiply(size)),
            ("@sortByAssociatedKeys", _) => {
                allocated(comparing(&overload.params[1]), first(0).multiply(first(0)))
            }
            ("url" | "jsonpatch.escapeKey", _) => (traverse(first(0)), Some(first(0))),
            ("lowerAscii" | "upperAscii" | "substring" | "trim", Some(size)) => (traverse(size), Some(size)),
            ("replace", Some(size)) => (by(size.max, 0.2), Some(replaced(size, first(0), first(1)))),
            ("split", Some(size)) => {
                let limit = match args.get(1).map(|arg| &arg.kind) {
                    Some(Kind::Literal(Literal::Int(n))) => *n as u64,
                    _ => size.max,
                };
                (by(size.max, 0.2), Some(Size { min: 0, max: limit }))
            }
            ("join", Some(size)) => {
                let items = self.item_size(target).map_or(Size::fixed(0), |item| size.multiply(item));
                let less = Size { min: size.min.saturating_sub(1), max: size.max.saturating_sub(1) };
                let total = if args.is_empty() { items } else { items.add(first(0).multiply(less)) };
                (traverse(total), Some(total))
            }
            ("find" | "findAll", Some(size)) => {
                (pattern(size, first(0)), Some(Size { min: 0, max: size.max }))
            }
            ("matches", Some(size)) => (pattern(size, first(0)), None),
            ("contains", Some(size)) => (traverse(size).saturating_mul(traverse(first(0))), None),
            ("startsWith" | "endsWith", Some(_)) => (traverse(first(0)), None),
            ("format", Some(size)) => (traverse(size), None),
            ("cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver", None) => {
                (traverse(first(0)), None)
            }
            ("ip", None) => (traverse(first(0)), None),
            ("ip.isCanonical", _) => (by(first(0).max, 0.2), None),
            ("containsIP" | "containsCIDR", Some(_)) => {
                let text = if overload.params.get(1) == Some(&Type::String) { traverse(first(0)) } else { 0 };
                let more = if function == "containsCIDR" { traverse(bytes) + 1 } else { 0 };
                ((traverse(bytes.add(bytes)) + more).saturating_add(text), None)
            }
            ("validate", Some(_)) => (by(traverse(first(0)), 32.0), None),
            ("bytes", None) if overload.params[0] == Type::String => {
                let size = first(0);
                (traverse(size), Some(Size { min: size.min, max: size.max.saturating_mul(4) }))
            }
            ("string", None) if overload.params[0] == Type::Bytes => {
                (traverse(first(0)), Some(Size { min: first(0).min / 4, max: first(0).max }))
            }
            ("strings.quote", _) => {
                let size = first(0);
                let max = size.max.saturating_mul(2).saturating_add(2);
                (traverse(size), Some(Size { min: size.min + 2, max }))
            }
            ("@in", _) if matches!(overload.params[1], Type::List(_)) => (first(1).max, None),
            ("_==_" | "_!=_", _) => {
                let opaque = matches!(args.first().map(|a| self.type_of(a)), Some(Type::Opaque(_)));
                (if opaque { 1 } else { by(first(0).max.min(first(1).max), 0.1) }, None)
            }
            ("_<_" | "_<=_" | "_>_" | "_>=_", _)
                if matches!(overload.params[0], Type::String | Type::Bytes) =>
            {
                (by(first(0).max.min(first(1).max), 0.1), None)
            }
            _ => (1, None),
        }
    }

    /// Going over a list with its items, or over text.
    fn walk(&self, target: Option<&Expr>, size: Size) -> u64 {
        match target.map(|t| self.type_of(t)) {
            Some(Type::List(item)) => {
                let each = match **item {
                    Type::String | Type::Bytes => {
                        traverse(self.item_size(target).unwrap_or(UNKNOWN)).saturating_add(1)
                    }
                    _ => 1,
                };
                size.max.saturating_mul(each)
            }
            _ => traverse(size),
        }
    }

    /// The size of a list's items, by the schema; `None` for what is no list.
    fn item_size(&self, list: Option<&Expr>) -> Option<Size> {
        let list = list?;
        let Type::List(_) = self.type_of(list) else { return None };
        match self.at(list) {
            At::Nowhere => Some(UNKNOWN),
            at => match self.below(&at, "@items") {
                At::Decl(decl) => Some(Size { min: 0, max: decl.max_elements.unwrap_or(0) }),
                _ => Some(UNKNOWN),
            },
        }
    }
}

/// The price of making a list of this size.
fn allocated(factor: f64, size: Size) -> (u64, Option<Size>) {
    (by(size.max, factor).saturating_add(11), Some(size))
}

/// What it costs to compare an item of such a list with another, both ways.
fn comparing(list: &Type) -> f64 {
    match list {
        Type::List(item) if matches!(**item, Type::String | Type::Bytes) => 2.1,
        _ => 2.0,
    }
}

fn literal(arg: Option<&Expr>, otherwise: u64) -> u64 {
    match arg.map(|arg| &arg.kind) {
        Some(Kind::Literal(Literal::Int(n))) => (*n).max(0) as u64,
        _ => otherwise,
    }
}

fn is_scalar(ty: &Type) -> bool {
    match ty {
        Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => true,
        Type::Optional(inner) => is_scalar(inner),
        _ => false,
    }
}

/// The size of text with `from` replaced by `to`.
fn replaced(text: Size, from: Size, to: Size) -> Size {
    let (mut count, mut kept) = (Size::fixed(0), Size::fixed(0));
    if from.min == 0 {
        count.max = text.max.saturating_add(1);
        kept.max = text.max;
    } else if to.max <= from.min {
        kept.max = text.max;
    } else {
        count.max = text.max.div_ceil(from.min);
    }
    if from.max == 0 {
        count.min = text.min.saturating_add(1);
        kept.min = text.min;
    } else if from.max <= to.min {
        kept.min = text.min;
    } else {
        count.min = text.min.div_ceil(from.max);
    }
    count.multiply(to).add(kept)
}
