//! Quantities: `quantity('1Gi').isLessThan(quantity('2Gi'))`.

use super::{Extension, fail};
use crate::error::{EvalError, Result};
use crate::library::{Context, Library};
use crate::value::Value;
use object::Quantity;
use std::cmp::Ordering;
use std::sync::Arc;

pub(super) fn register(library: &mut Library) {
    library.add(&["quantity(string): kubernetes.Quantity"], |_, args| {
        match Quantity::parse(args[0].as_str()?) {
            Ok(quantity) => Ok(wrap(quantity)),
            Err(error) => fail(error.to_string()),
        }
    });
    library.add(&["isQuantity(string): bool"], |_, args| {
        Ok(Value::Bool(Quantity::parse(args[0].as_str()?).is_ok()))
    });
    library.add(&["kubernetes.Quantity->sign(): int"], |_, a| Ok(Value::Int(of(&a[0])?.signum().into())));
    library.add(&["kubernetes.Quantity->isInteger(): bool"], |_, a| {
        Ok(Value::Bool(whole(of(&a[0])?).is_some()))
    });
    library.add(&["kubernetes.Quantity->asInteger(): int"], |_, args| match whole(of(&args[0])?) {
        Some(number) => Ok(Value::Int(number)),
        None => fail("cannot convert value to integer"),
    });
    library.add(&["kubernetes.Quantity->asApproximateFloat(): double"], |_, args| {
        Ok(Value::Double(of(&args[0])?.as_f64()))
    });
    library.add(&["kubernetes.Quantity->isGreaterThan(kubernetes.Quantity): bool"], |_, args| {
        Ok(Value::Bool(compare(args)? == Ordering::Greater))
    });
    library.add(&["kubernetes.Quantity->isLessThan(kubernetes.Quantity): bool"], |_, args| {
        Ok(Value::Bool(compare(args)? == Ordering::Less))
    });
    library.add(&["kubernetes.Quantity->compareTo(kubernetes.Quantity): int"], |_, args| {
        Ok(Value::Int(compare(args)? as i64))
    });
    library.add(
        &[
            "kubernetes.Quantity->add(kubernetes.Quantity): kubernetes.Quantity",
            "kubernetes.Quantity->add(int): kubernetes.Quantity",
        ],
        |cx, args| combine(cx, args, Quantity::add),
    );
    library.add(
        &[
            "kubernetes.Quantity->sub(kubernetes.Quantity): kubernetes.Quantity",
            "kubernetes.Quantity->sub(int): kubernetes.Quantity",
        ],
        |cx, args| combine(cx, args, Quantity::sub),
    );
}

fn wrap<'a>(quantity: Quantity) -> Value<'a> {
    Value::Extension(Arc::new(Extension::Quantity(quantity)))
}

fn of<'v>(value: &'v Value<'_>) -> Result<&'v Quantity> {
    match value {
        Value::Extension(extension) => match &**extension {
            Extension::Quantity(quantity) => Ok(quantity),
            _ => Err(EvalError::no_overload()),
        },
        _ => Err(EvalError::no_overload()),
    }
}

/// The number, if it is whole and fits.
fn whole(quantity: &Quantity) -> Option<i64> {
    let number = quantity.value();
    (quantity.is_integer() && Quantity::from_int(number).sub(quantity).is_zero()).then_some(number)
}

fn compare(args: &[Value<'_>]) -> Result<Ordering> {
    Ok(of(&args[0])?.sub(of(&args[1])?).signum().cmp(&0))
}

fn combine<'a>(
    _: &mut Context<'_>,
    args: &[Value<'a>],
    how: fn(&Quantity, &Quantity) -> Quantity,
) -> Result<Value<'a>> {
    let left = of(&args[0])?;
    Ok(wrap(match &args[1] {
        Value::Int(number) => how(left, &Quantity::from_int(*number)),
        right => how(left, of(right)?),
    }))
}
