//! Faults of `'…'.format([…])` with constant text and a list written out (cel-go's validator of the strings library).

use super::format::bare_name;
use crate::ast::{Expr, ExprId, ExprKind, Literal};
use crate::checked::Checked;
use crate::library::strings::format::{ClauseError, Piece, Pieces, Verb};
use crate::types::Type;

/// The fault of a call and the node that it is reported at, if it has one.
pub(super) fn fault(checked: &Checked, call: &Expr) -> Option<(ExprId, String)> {
    let ExprKind::Call { target: Some(target), args, .. } = &call.kind else { return None };
    let (ExprKind::Literal(Literal::String(format)), [Expr { kind: ExprKind::List { elements, .. }, .. }]) =
        (&target.kind, args.as_slice())
    else {
        return None;
    };
    let mut pieces = Pieces::new(format);
    let mut used = 0;
    while let Some(piece) = pieces.next_piece() {
        if piece != Piece::Clause {
            continue;
        }
        let clause = pieces.clause();
        let element = elements.get(used);
        match (clause, element) {
            (Err(ClauseError::End), _) => return Some((call.id, ClauseError::End.to_string())),
            (_, None) => return Some((call.id, format!("index {used} out of range"))),
            (Err(error), _) => return Some((call.id, error.to_string())),
            (Ok((verb, _)), Some(element)) => {
                if let Err((id, ty)) = accepts(checked, verb, element) {
                    let name = bare_name(ty);
                    return Some((id, format!("error during formatting: {} {name}", verb.refusal())));
                }
            }
        }
        used += 1;
    }
    (elements.len() > used).then(|| {
        let given = elements.len();
        (call.id, format!("too many arguments supplied to string.format (expected {used}, got {given})"))
    })
}

/// Whether a clause takes an expression of this type; the node and its type if not.
fn accepts<'c>(checked: &'c Checked, verb: Verb, expr: &Expr) -> Result<(), (ExprId, &'c Type)> {
    let ty = checked.types.get(expr.id as usize).unwrap_or(&Type::Dyn);
    let taken = match verb {
        Verb::String => matches!(
            ty,
            Type::List(_)
                | Type::Map(..)
                | Type::Int
                | Type::Uint
                | Type::Double
                | Type::Bool
                | Type::String
                | Type::Timestamp
                | Type::Bytes
                | Type::Duration
                | Type::Type(_)
                | Type::Null
        ),
        Verb::Decimal | Verb::Octal => matches!(ty, Type::Int | Type::Uint),
        // The names of what is no number are strings.
        Verb::Fixed | Verb::Scientific => matches!(ty, Type::Double | Type::String),
        Verb::Binary => matches!(ty, Type::Int | Type::Uint | Type::Bool),
        Verb::Hex { .. } => matches!(ty, Type::Int | Type::Uint | Type::String | Type::Bytes),
    };
    if !taken && *ty != Type::Dyn {
        return Err((expr.id, ty));
    }
    match (&expr.kind, verb) {
        (ExprKind::List { elements, .. }, Verb::String) => {
            elements.iter().try_for_each(|element| accepts(checked, verb, element))
        }
        (ExprKind::Map { entries }, Verb::String) => entries.iter().try_for_each(|entry| {
            accepts(checked, verb, &entry.key)?;
            accepts(checked, verb, &entry.value)
        }),
        _ => Ok(()),
    }
}
