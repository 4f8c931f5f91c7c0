//! Type variables: which types they stand for, and which types can take the place of which.

use crate::types::Type;
use std::collections::HashMap;
use std::sync::Arc;

/// What type variables stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bindings {
    bound: HashMap<u32, Type>,
    /// Variables in the order they were bound.
    trail: Vec<u32>,
    next: u32,
}

impl Bindings {
    /// Variables start here, so that they are none of a signature's.
    pub fn new() -> Self {
        Self { next: 1000, ..Self::default() }
    }

    /// A new variable.
    pub fn fresh(&mut self) -> Type {
        self.next += 1;
        Type::Param(self.next)
    }

    /// A signature's types with new variables; `base` is what [`Bindings::reserve`] gave.
    pub fn instantiate(ty: &Type, base: u32) -> Type {
        map_params(ty, &mut |id| Type::Param(base + id))
    }

    /// Room for `count` variables.
    pub fn reserve(&mut self, count: u32) -> u32 {
        self.next += count;
        self.next - count + 1
    }

    /// The type with its variables replaced; with `to_dyn`, free ones become `dyn`.
    pub fn substitute(&self, ty: &Type, to_dyn: bool) -> Type {
        self.substitute_at(ty, to_dyn, 0)
    }

    fn substitute_at(&self, ty: &Type, to_dyn: bool, depth: u32) -> Type {
        if depth > 64 {
            return Type::Dyn;
        }
        map_params(ty, &mut |id| match self.bound.get(&id) {
            Some(bound) => self.substitute_at(bound, to_dyn, depth + 1),
            None if to_dyn => Type::Dyn,
            None => Type::Param(id),
        })
    }

    /// Whether `from` can be used as `to`, binding variables as needed. Nothing is bound when it cannot.
    pub fn assignable(&mut self, to: &Type, from: &Type) -> bool {
        let before = self.trail.len();
        let fits = self.fits(to, from, 0);
        if !fits {
            self.undo(before);
        }
        fits
    }

    /// The same for lists of types.
    pub fn all_assignable(&mut self, to: &[Type], from: &[Type]) -> bool {
        if to.len() != from.len() {
            return false;
        }
        let before = self.trail.len();
        let fits = to.iter().zip(from).all(|(to, from)| self.fits(to, from, 0));
        if !fits {
            self.undo(before);
        }
        fits
    }

    fn undo(&mut self, before: usize) {
        for id in self.trail.drain(before..) {
            self.bound.remove(&id);
        }
    }

    fn resolve(&self, ty: &Type) -> Type {
        let mut ty = ty.clone();
        for _ in 0..64 {
            let Type::Param(id) = ty else { return ty };
            match self.bound.get(&id) {
                Some(bound) => ty = bound.clone(),
                None => return ty,
            }
        }
        Type::Dyn
    }

    fn fits(&mut self, to: &Type, from: &Type, depth: u32) -> bool {
        if depth > 64 {
            return true;
        }
        let (to, from) = (self.resolve(to), self.resolve(from));
        match (&to, &from) {
            (Type::Param(a), Type::Param(b)) if a == b => true,
            (Type::Param(id), other) | (other, Type::Param(id)) => {
                if occurs(*id, other) {
                    return false;
                }
                self.bound.insert(*id, other.clone());
                self.trail.push(*id);
                true
            }
            (a, b) if a.is_dyn_or_error() || b.is_dyn_or_error() => true,
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => {
                self.fits(a, b, depth + 1)
            }
            (Type::Map(a, b), Type::Map(c, d)) => self.fits(a, c, depth + 1) && self.fits(b, d, depth + 1),
            (Type::Type(_), Type::Type(_)) => true,
            // Null fits where absence can be told.
            (
                Type::Struct(_) | Type::Timestamp | Type::Duration | Type::Opaque(_) | Type::Optional(_),
                Type::Null,
            )
            | (Type::Null, Type::Struct(_) | Type::Timestamp | Type::Duration | Type::Opaque(_)) => true,
            (a, b) => a == b,
        }
    }

    /// The more general of two types that fit.
    pub fn general(&self, left: &Type, right: &Type) -> Type {
        let (a, b) = (self.resolve(left), self.resolve(right));
        match (&a, &b) {
            (Type::Dyn | Type::Error, _) => a,
            (_, Type::Dyn | Type::Error) => b,
            (Type::Null, _) => b,
            (Type::List(x), Type::List(y)) => Type::list(self.general(x, y)),
            (Type::Map(k, x), Type::Map(l, y)) => Type::map(self.general(k, l), self.general(x, y)),
            _ => a,
        }
    }
}

fn occurs(id: u32, ty: &Type) -> bool {
    let mut found = false;
    map_params(ty, &mut |other| {
        found |= other == id;
        Type::Param(other)
    });
    found
}

fn map_params(ty: &Type, each: &mut dyn FnMut(u32) -> Type) -> Type {
    match ty {
        Type::Param(id) => each(*id),
        Type::List(inner) => Type::List(Arc::new(map_params(inner, each))),
        Type::Optional(inner) => Type::Optional(Arc::new(map_params(inner, each))),
        Type::Type(inner) => Type::Type(Arc::new(map_params(inner, each))),
        Type::Map(key, value) => {
            let key = map_params(key, each);
            Type::Map(Arc::new(key), Arc::new(map_params(value, each)))
        }
        other => other.clone(),
    }
}
