//! Macros: `has`, comprehensions over one or two variables, and those of optional values and lists.

use crate::ast::{Entry, Expr, Fold, Kind, Literal};
use crate::error::Issue;
use crate::parser::Nodes;

/// The accumulator of a comprehension; no expression can name it.
pub(crate) const RESULT: &str = "@result";
const UNUSED: &str = "#unused";

pub(crate) enum Expanded {
    /// It was a macro.
    Done(Expr),
    /// It was none: the target and arguments are given back.
    Call(Option<Expr>, Vec<Expr>),
}

type Made = Result<Expr, Issue>;

/// Expands a call if it is a macro.
pub(crate) fn expand(
    nodes: &mut Nodes,
    at: u32,
    name: &str,
    target: Option<Expr>,
    args: Vec<Expr>,
) -> Result<Expanded, Issue> {
    let Some(target) = target else {
        if name == "has" && args.len() == 1 {
            return has(nodes, at, args).map(Expanded::Done);
        }
        return Ok(Expanded::Call(None, args));
    };
    let mut m = Macro { nodes, at };
    let two = args.len() >= 2 && matches!(args[1].kind, Kind::Ident(_));
    Ok(Expanded::Done(match (name, args.len()) {
        ("all", 2) => m.all(target, args, 1)?,
        ("exists", 2) => m.exists(target, args, 1)?,
        ("exists_one" | "existsOne", 2) => m.exists_one(target, args, 1)?,
        ("all", 3) => m.all(target, args, 2)?,
        ("exists", 3) => m.exists(target, args, 2)?,
        ("exists_one" | "existsOne", 3) => m.exists_one(target, args, 2)?,
        ("map", 2 | 3) => m.map(target, args)?,
        ("filter", 2) => m.filter(target, args)?,
        ("transformList", 3 | 4) if two => m.transform_list(target, args)?,
        ("transformMap", 3 | 4) if two => m.transform_map(target, args, false)?,
        ("transformMapEntry", 3 | 4) if two => m.transform_map(target, args, true)?,
        ("optMap", 2) => m.optional_map(target, args, true)?,
        ("optFlatMap", 2) => m.optional_map(target, args, false)?,
        ("sortBy", 2) => m.sort_by(target, args)?,
        _ => return Ok(Expanded::Call(Some(target), args)),
    }))
}

fn has(nodes: &mut Nodes, at: u32, mut args: Vec<Expr>) -> Made {
    match args.pop().map(|arg| (arg.at, arg.kind)) {
        Some((_, Kind::Select { operand, field, test: false })) => {
            nodes.make(at, Kind::Select { operand, field, test: true })
        }
        Some((at, _)) => Err(Issue { at, message: "invalid argument to has() macro".into() }),
        None => Err(Issue { at, message: "invalid argument to has() macro".into() }),
    }
}

fn variable(arg: &Expr) -> Result<Box<str>, Issue> {
    match &arg.kind {
        Kind::Ident(name) if &**name == RESULT => {
            Err(Issue { at: arg.at, message: "iteration variable overwrites accumulator variable".into() })
        }
        Kind::Ident(name) => Ok(name.clone()),
        _ => Err(Issue { at: arg.at, message: "argument must be a simple name".into() }),
    }
}

struct Macro<'a> {
    nodes: &'a mut Nodes,
    at: u32,
}

struct Parts {
    init: Expr,
    condition: Expr,
    step: Expr,
    result: Expr,
}

impl Macro<'_> {
    fn call(&mut self, function: &str, args: Vec<Expr>) -> Made {
        self.nodes.call(self.at, function, args)
    }

    fn result(&mut self) -> Expr {
        self.nodes.ident(self.at, RESULT)
    }

    fn bool(&mut self, value: bool) -> Expr {
        self.nodes.literal(self.at, Literal::Bool(value))
    }

    fn int(&mut self, value: i64) -> Expr {
        self.nodes.literal(self.at, Literal::Int(value))
    }

    fn empty_list(&mut self) -> Made {
        self.nodes.make(self.at, Kind::List(vec![]))
    }

    /// Takes `count` variables off the front of the arguments.
    fn fold(&mut self, range: Expr, variables: &[Expr], parts: Parts) -> Made {
        let first = variable(&variables[0])?;
        let second = variables.get(1).map(variable).transpose()?;
        if let Some(arg) = variables.get(1).filter(|_| second.as_ref() == Some(&first)) {
            return Err(Issue { at: arg.at, message: format!("duplicate variable name: {first}") });
        }
        let Parts { init, condition, step, result } = parts;
        let fold = Fold {
            variable: first,
            second,
            range,
            accumulator: RESULT.into(),
            init,
            condition,
            step,
            result,
        };
        self.nodes.make(self.at, Kind::Fold(Box::new(fold)))
    }

    fn all(&mut self, target: Expr, mut args: Vec<Expr>, count: usize) -> Made {
        let predicate = args.split_off(count).swap_remove(0);
        let init = self.bool(true);
        let result = self.result();
        let condition = self.call("@not_strictly_false", vec![result])?;
        let result = self.result();
        let step = self.call("_&&_", vec![result, predicate])?;
        let result = self.result();
        self.fold(target, &args, Parts { init, condition, step, result })
    }

    fn exists(&mut self, target: Expr, mut args: Vec<Expr>, count: usize) -> Made {
        let predicate = args.split_off(count).swap_remove(0);
        let init = self.bool(false);
        let result = self.result();
        let not = self.call("!_", vec![result])?;
        let condition = self.call("@not_strictly_false", vec![not])?;
        let result = self.result();
        let step = self.call("_||_", vec![result, predicate])?;
        let result = self.result();
        self.fold(target, &args, Parts { init, condition, step, result })
    }

    fn exists_one(&mut self, target: Expr, mut args: Vec<Expr>, count: usize) -> Made {
        let predicate = args.split_off(count).swap_remove(0);
        let init = self.int(0);
        let condition = self.bool(true);
        let (result, one) = (self.result(), self.int(1));
        let more = self.call("_+_", vec![result, one])?;
        let same = self.result();
        let step = self.call("_?_:_", vec![predicate, more, same])?;
        let (result, one) = (self.result(), self.int(1));
        let result = self.call("_==_", vec![result, one])?;
        self.fold(target, &args, Parts { init, condition, step, result })
    }

    /// A fold that appends `item` where `filter` holds.
    fn collect(&mut self, target: Expr, variables: &[Expr], filter: Option<Expr>, item: Expr) -> Made {
        let init = self.empty_list()?;
        let condition = self.bool(true);
        let item = self.nodes.make(self.at, Kind::List(vec![(item, false)]))?;
        let result = self.result();
        let step = self.call("_+_", vec![result, item])?;
        let step = self.filtered(filter, step)?;
        let result = self.result();
        self.fold(target, variables, Parts { init, condition, step, result })
    }

    fn filtered(&mut self, filter: Option<Expr>, step: Expr) -> Made {
        let Some(filter) = filter else { return Ok(step) };
        let same = self.result();
        self.call("_?_:_", vec![filter, step, same])
    }

    fn map(&mut self, target: Expr, mut args: Vec<Expr>) -> Made {
        let mut rest = args.split_off(1);
        let item = rest.swap_remove(rest.len() - 1);
        self.collect(target, &args, rest.pop(), item)
    }

    fn filter(&mut self, target: Expr, mut args: Vec<Expr>) -> Made {
        let predicate = args.split_off(1).swap_remove(0);
        let name = variable(&args[0])?;
        let item = self.nodes.ident(args[0].at, &name);
        self.collect(target, &args, Some(predicate), item)
    }

    fn transform_list(&mut self, target: Expr, mut args: Vec<Expr>) -> Made {
        let mut rest = args.split_off(2);
        let item = rest.swap_remove(rest.len() - 1);
        self.collect(target, &args, rest.pop(), item)
    }

    fn transform_map(&mut self, target: Expr, mut args: Vec<Expr>, entries: bool) -> Made {
        let mut rest = args.split_off(2);
        let value = rest.swap_remove(rest.len() - 1);
        let init = self.nodes.make(self.at, Kind::Map(Vec::<Entry>::new()))?;
        let condition = self.bool(true);
        let result = self.result();
        let step = if entries {
            self.call("cel.@mapInsert", vec![result, value])?
        } else {
            let name = variable(&args[0])?;
            let key = self.nodes.ident(args[0].at, &name);
            self.call("cel.@mapInsert", vec![result, key, value])?
        };
        let step = self.filtered(rest.pop(), step)?;
        let result = self.result();
        self.fold(target, &args, Parts { init, condition, step, result })
    }

    /// `name` bound to `value` in `body`.
    fn bind(&mut self, name: &str, value: Expr, body: Expr) -> Made {
        let range = self.empty_list()?;
        let condition = self.bool(false);
        let step = self.nodes.ident(self.at, name);
        let fold = Fold {
            variable: UNUSED.into(),
            second: None,
            range,
            accumulator: name.into(),
            init: value,
            condition,
            step,
            result: body,
        };
        self.nodes.make(self.at, Kind::Fold(Box::new(fold)))
    }

    fn method(&mut self, target: Expr, function: &str, args: Vec<Expr>) -> Made {
        self.nodes
            .make(self.at, Kind::Call { function: function.into(), target: Some(Box::new(target)), args })
    }

    fn optional_map(&mut self, target: Expr, mut args: Vec<Expr>, wrap: bool) -> Made {
        let body = args.split_off(1).swap_remove(0);
        let name = variable(&args[0])?;
        const TARGET: &str = "@target";
        let whole = self.nodes.ident(self.at, TARGET);
        let value = self.method(whole, "value", vec![])?;
        let bound = self.bind(&name, value, body)?;
        let bound = if wrap { self.call("optional.of", vec![bound])? } else { bound };
        let whole = self.nodes.ident(self.at, TARGET);
        let present = self.method(whole, "hasValue", vec![])?;
        let none = self.call("optional.none", vec![])?;
        let choice = self.call("_?_:_", vec![present, bound, none])?;
        self.bind(TARGET, target, choice)
    }

    fn sort_by(&mut self, target: Expr, mut args: Vec<Expr>) -> Made {
        const INPUT: &str = "@__sortBy_input__";
        let key = args.split_off(1).swap_remove(0);
        let range = self.nodes.ident(self.at, INPUT);
        let keys = self.collect(range, &args, None, key)?;
        let whole = self.nodes.ident(self.at, INPUT);
        let sorted = self.method(whole, "@sortByAssociatedKeys", vec![keys])?;
        self.bind(INPUT, target, sorted)
    }
}
