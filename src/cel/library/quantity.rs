//! Resource quantities (`kubernetes.Quantity`), as apimachinery's `resource.Quantity` reads, computes and writes them.

mod decimal;

use std::cmp::Ordering;
use std::fmt;

use decimal::{Decimal, Inexact};

use super::support::{Answer, native, traverse_once};
use crate::error::ErrorKind;
use crate::functions::{Function, Scope, constant_cost};
use crate::opaque::Opaque;
use crate::value::Value;

/// A quantity. Upstream keeps small ones as an integer and a power of ten and large ones as a decimal of any
/// length, and some answers show which (`isInteger` of `1000m` is false); so the same is kept here.
#[derive(Debug, Clone, Copy)]
pub struct Quantity<'a> {
    amount: Amount<'a>,
    format: Format,
    /// A result of `add` or `sub`. Upstream's `==` fails when its right side is one.
    computed: bool,
}

#[derive(Debug, Clone, Copy)]
enum Amount<'a> {
    /// `value · 10^scale`
    Small { value: i64, scale: i32 },
    /// `± digits · 10^scale`, digits in base 2³², lowest first, none at the end that is zero.
    Large { negative: bool, digits: &'a [u32], scale: i32 },
}

/// The notation in which a quantity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`
    DecimalSi,
}

/// Why a text is not a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Format,
    Number,
    Suffix,
}

/// The functions of this library.
pub fn functions() -> Vec<Function> {
    vec![
        native("quantity", &[("string_to_quantity", "(string) -> kubernetes.Quantity")], quantity, traverse_once),
        native("isQuantity", &[("is_quantity_string", "(string) -> bool")], is_quantity, traverse_once),
        native("sign", &[("quantity_sign", "(kubernetes.Quantity) -> int")], sign, constant_cost),
        native(
            "isGreaterThan",
            &[("quantity_is_greater_than", "kubernetes.Quantity.(kubernetes.Quantity) -> bool")],
            |_, args| Ok(Value::Bool(ordering(args)? == Ordering::Greater)),
            constant_cost,
        ),
        native(
            "isLessThan",
            &[("quantity_is_less_than", "kubernetes.Quantity.(kubernetes.Quantity) -> bool")],
            |_, args| Ok(Value::Bool(ordering(args)? == Ordering::Less)),
            constant_cost,
        ),
        native(
            "compareTo",
            &[("quantity_compare_to", "kubernetes.Quantity.(kubernetes.Quantity) -> int")],
            |_, args| Ok(Value::Int(ordering(args)? as i64)),
            constant_cost,
        ),
        native(
            "asApproximateFloat",
            &[("quantity_get_float", "kubernetes.Quantity.() -> double")],
            as_float,
            constant_cost,
        ),
        native("asInteger", &[("quantity_get_int", "kubernetes.Quantity.() -> int")], as_integer, constant_cost),
        native("isInteger", &[("quantity_is_integer", "kubernetes.Quantity.() -> bool")], is_integer, constant_cost),
        native(
            "add",
            &[
                ("quantity_add", "kubernetes.Quantity.(kubernetes.Quantity) -> kubernetes.Quantity"),
                ("quantity_add_int", "kubernetes.Quantity.(int) -> kubernetes.Quantity"),
            ],
            |scope, args| compute(scope, args, Operation::Add),
            constant_cost,
        ),
        native(
            "sub",
            &[
                ("quantity_sub", "kubernetes.Quantity.(kubernetes.Quantity) -> kubernetes.Quantity"),
                ("quantity_sub_int", "kubernetes.Quantity.(int) -> kubernetes.Quantity"),
            ],
            |scope, args| compute(scope, args, Operation::Subtract),
            constant_cost,
        ),
    ]
}

// === functions ===

fn value<'a>(scope: &Scope<'a>, quantity: Quantity<'a>) -> Value<'a> {
    Value::Opaque(scope.arena.alloc(Opaque::Quantity(quantity)))
}

fn quantity<'a>(scope: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    match Quantity::parse(text) {
        Ok(parsed) => Ok(value(scope, parsed.store(scope))),
        Err(fault) => Err(ErrorKind::Function(fault.text())),
    }
}

fn is_quantity<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = *args else { return Err(ErrorKind::NoSuchOverload) };
    Ok(Value::Bool(Quantity::parse(text).is_ok()))
}

fn receiver<'v, 'a>(args: &'v [Value<'a>]) -> Result<&'v Quantity<'a>, ErrorKind<'a>> {
    match args {
        [Value::Opaque(Opaque::Quantity(quantity)), ..] => Ok(quantity),
        _ => Err(ErrorKind::NoSuchOverload),
    }
}

fn ordering<'a>(args: &[Value<'a>]) -> Result<Ordering, ErrorKind<'a>> {
    let [Value::Opaque(Opaque::Quantity(a)), Value::Opaque(Opaque::Quantity(b))] = args else {
        return Err(ErrorKind::NoSuchOverload);
    };
    Ok(a.compare(b))
}

fn sign<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Int(receiver(args)?.amount.sign()))
}

fn as_float<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    let (base, scale) = match receiver(args)?.amount {
        Amount::Small { value, scale } => (value as f64, scale),
        Amount::Large { scale, .. } => (Decimal::from(receiver(args)?.amount).unscaled_f64(), scale),
    };
    Ok(Value::Double(if scale == 0 { base } else { base * decimal::power_of_ten(scale) }))
}

fn as_integer<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    match receiver(args)?.amount.as_int() {
        Some(i) => Ok(Value::Int(i)),
        None => Err(ErrorKind::Function("cannot convert value to integer")),
    }
}

fn is_integer<'a>(_: &Scope<'a>, args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(receiver(args)?.amount.as_int().is_some()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Subtract,
}

fn compute<'a>(scope: &Scope<'a>, args: &[Value<'a>], operation: Operation) -> Answer<'a> {
    let (a, b) = match *args {
        [Value::Opaque(Opaque::Quantity(a)), Value::Opaque(Opaque::Quantity(b))] => (a, *b),
        [Value::Opaque(Opaque::Quantity(a)), Value::Int(i)] => {
            let amount = Amount::Small { value: i, scale: 0 };
            (a, Quantity { amount, format: Format::DecimalExponent, computed: false })
        }
        _ => return Err(ErrorKind::NoSuchOverload),
    };
    let format = if a.amount.sign() == 0 { b.format } else { a.format };
    let amount = match a.amount.combine_small(b.amount, operation) {
        Some(amount) => amount,
        None => {
            let (x, y) = (Decimal::from(a.amount), Decimal::from(b.amount));
            let sum = if operation == Operation::Add { x.add(&y) } else { x.add(&y.negated()) };
            // Upstream would compute it if it took a day.
            sum.map_err(|Inexact| ErrorKind::Function("quantity out of range"))?.store(scope)
        }
    };
    Ok(value(scope, Quantity { amount, format, computed: true }))
}

// === impl Quantity ===

/// A quantity read from text, not yet in an arena.
#[derive(Debug)]
enum Parsed {
    Small { value: i64, scale: i32, format: Format },
    Large { decimal: Decimal, format: Format },
}

impl<'a> Quantity<'a> {
    /// Order of two quantities by what they stand for.
    pub(crate) fn compare(&self, other: &Quantity<'_>) -> Ordering {
        match (self.amount, other.amount) {
            (Amount::Small { value: a, scale: x }, Amount::Small { value: b, scale: y }) => compare_small(a, x, b, y),
            (a, b) => match a.sign().cmp(&b.sign()) {
                Ordering::Equal => Decimal::from(a).compare(&Decimal::from(b)),
                different => different,
            },
        }
    }

    /// Whether upstream's `==` answers at all when this stands on its right side.
    pub(crate) fn comparable_on_the_right(&self) -> bool {
        !self.computed
    }

    /// Reads a quantity.
    fn parse(text: &str) -> Result<Parsed, Fault> {
        if text.is_empty() {
            return Err(Fault::Format);
        }
        let parts = Parts::of(text)?;
        let (base_two, exponent, format) = suffix(parts.suffix).ok_or(Fault::Suffix)?;
        if let Some(small) = parts.small(base_two, exponent, format)? {
            return Ok(small);
        }
        parts.large(base_two, exponent, format)
    }
}

impl Parsed {
    fn store<'a>(self, scope: &Scope<'a>) -> Quantity<'a> {
        let (amount, format) = match self {
            Parsed::Small { value, scale, format } => (Amount::Small { value, scale }, format),
            Parsed::Large { decimal, format } => (decimal.store(scope), format),
        };
        Quantity { amount, format, computed: false }
    }
}

impl Fault {
    fn text(self) -> &'static str {
        match self {
            Fault::Format => {
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            }
            Fault::Number => "unable to parse numeric part of quantity",
            Fault::Suffix => "unable to parse quantity's suffix",
        }
    }
}

impl Amount<'_> {
    fn sign(self) -> i64 {
        match self {
            Amount::Small { value, .. } => value.signum(),
            Amount::Large { digits: [], .. } => 0,
            Amount::Large { negative, .. } => {
                if negative {
                    -1
                } else {
                    1
                }
            }
        }
    }

    /// The number, when upstream finds it without its long decimals.
    fn as_int(self) -> Option<i64> {
        match self {
            Amount::Small { value, scale: 0 } => Some(value),
            Amount::Small { value, scale } => scale_up(value, u32::try_from(scale).ok()?),
            Amount::Large { .. } => None,
        }
    }

    /// Sum or difference in 64 bits, `None` where upstream turns to long decimals.
    fn combine_small<'a>(self, other: Amount<'_>, operation: Operation) -> Option<Amount<'a>> {
        let (Amount::Small { value: a, scale: x }, Amount::Small { value: b, scale: y }) = (self, other) else {
            return None;
        };
        let b = if operation == Operation::Add { b } else { b.wrapping_neg() };
        if b == 0 {
            return Some(Amount::Small { value: a, scale: x });
        }
        if a == 0 {
            return Some(Amount::Small { value: b, scale: y });
        }
        let scale = x.min(y);
        let a = scale_up(a, u32::try_from(i64::from(x) - i64::from(scale)).ok()?)?;
        let b = scale_up(b, u32::try_from(i64::from(y) - i64::from(scale)).ok()?)?;
        Some(Amount::Small { value: a.checked_add(b)?, scale })
    }
}

/// `value · 10^scale` if it fits. Upstream knows powers up to 18.
fn scale_up(value: i64, scale: u32) -> Option<i64> {
    if scale == 0 || value == 0 {
        return Some(value);
    }
    if scale > 18 {
        return None;
    }
    value.checked_mul(10i64.checked_pow(scale)?)
}

fn compare_small(a: i64, x: i32, b: i64, y: i32) -> Ordering {
    if x == y || a.signum() != b.signum() {
        return a.cmp(&b);
    }
    if x < y {
        return compare_small(b, y, a, x).reverse();
    }
    // Twenty places are more than any 64 bits hold; fewer fit 128.
    match u32::try_from(i64::from(x) - i64::from(y)) {
        Ok(places @ ..20) => (i128::from(a) * 10i128.pow(places)).cmp(&i128::from(b)),
        _ => a.signum().cmp(&0),
    }
}

// === reading ===

/// The parts of a quantity's text.
#[derive(Debug)]
struct Parts<'t> {
    negative: bool,
    /// Sign and digits as written.
    number: &'t str,
    /// Digits before the point without leading zeros, `0` if none.
    whole: &'t str,
    /// Digits behind the point.
    fraction: &'t str,
    suffix: &'t str,
}

/// Decimal digits at the start of a text, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Result<Self, Fault> {
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let significant = unsigned.trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Self { negative, number: "0", whole: "0", fraction: "", suffix: "" });
        }
        let (whole, mut rest) = digits(significant);
        let mut fraction = "";
        if let Some(tail) = rest.strip_prefix('.') {
            (fraction, rest) = digits(tail);
        }
        let number = &text[..text.len() - rest.len()];
        let letters = rest.trim_start_matches(['e', 'E', 'i', 'n', 'u', 'm', 'k', 'K', 'M', 'G', 'T', 'P']);
        let exponent = letters.strip_prefix(['-', '+']).unwrap_or(letters);
        if !digits(exponent).1.is_empty() {
            return Err(Fault::Format);
        }
        Ok(Self { negative, number, whole: if whole.is_empty() { "0" } else { whole }, fraction, suffix: rest })
    }

    /// As a 64-bit integer and a power of ten, where upstream tries that.
    fn small(&self, base_two: bool, exponent: i32, format: Format) -> Result<Option<Parsed>, Fault> {
        let (whole, fraction) = (self.whole.len() as i64, self.fraction.len() as i64);
        let precision = if base_two {
            // 2^10 has about three digits.
            if fraction > 0 { -1 } else { 15 - whole - i64::from(exponent) * 3 / 10 - 1 }
        } else {
            18 - whole - fraction
        };
        if precision < 0 {
            return Ok(None);
        }
        let scale = (if base_two { 0 } else { exponent }).wrapping_sub(fraction as i32);
        if scale < -9 {
            return Ok(None);
        }
        // At most 18 digits.
        let mut value = 0i64;
        for digit in self.whole.bytes().chain(self.fraction.bytes()) {
            value = value * 10 + i64::from(digit - b'0');
        }
        if base_two {
            let Some(shifted) = value.checked_mul(1 << exponent) else { return Ok(None) };
            value = shifted;
        }
        Ok(Some(Parsed::Small { value: if self.negative { -value } else { value }, scale, format }))
    }

    fn large(&self, base_two: bool, exponent: i32, mut format: Format) -> Result<Parsed, Fault> {
        if !self.number.bytes().any(|b| b.is_ascii_digit()) {
            return Err(Fault::Number);
        }
        let mut decimal = Decimal::parse(self.whole, self.fraction).map_err(|Inexact| Fault::Number)?;
        if base_two {
            decimal = decimal.shifted_left(exponent as u32);
        } else {
            decimal.add_to_scale(exponent);
        }
        // What is not zero is never rounded to zero.
        decimal = decimal.rounded_up_to_nano().map_err(|Inexact| Fault::Number)?;
        if format == Format::BinarySi {
            decimal = decimal.at_most_i64_max();
            if decimal.is_below_one() {
                format = Format::DecimalSi;
            }
        }
        Ok(Parsed::Large { decimal: if self.negative { decimal.negated() } else { decimal }, format })
    }
}

/// Base two or ten, exponent and notation of a suffix.
fn suffix(suffix: &str) -> Option<(bool, i32, Format)> {
    let (base_two, exponent) = match suffix {
        "" => (false, 0),
        "n" => (false, -9),
        "u" => (false, -6),
        "m" => (false, -3),
        "k" => (false, 3),
        "M" => (false, 6),
        "G" => (false, 9),
        "T" => (false, 12),
        "P" => (false, 15),
        "E" => (false, 18),
        "Ki" => (true, 10),
        "Mi" => (true, 20),
        "Gi" => (true, 30),
        "Ti" => (true, 40),
        "Pi" => (true, 50),
        "Ei" => (true, 60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i64>().ok()?;
            // Upstream cuts it to 32 bits.
            return Some((false, exponent as i32, Format::DecimalExponent));
        }
    };
    Some((base_two, exponent, if base_two { Format::BinarySi } else { Format::DecimalSi }))
}

// === writing ===

impl fmt::Display for Quantity<'_> {
    /// The canonical form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.amount.sign() == 0 {
            return f.write_str("0");
        }
        let decimal = Decimal::from(self.amount);
        let mut format = self.format;
        if format == Format::BinarySi {
            match decimal.binary_form() {
                Some((mantissa, power)) => {
                    return write!(
                        f,
                        "{mantissa}{}",
                        ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(power).unwrap_or(&"")
                    );
                }
                None => format = Format::DecimalSi,
            }
        }
        let (mantissa, exponent) = decimal.decimal_form();
        write!(f, "{mantissa}")?;
        match (format, exponent) {
            (_, 0) => Ok(()),
            (Format::DecimalExponent, exponent) => write!(f, "e{exponent}"),
            (_, exponent) => {
                let suffix = match exponent {
                    -9 => "n",
                    -6 => "u",
                    -3 => "m",
                    3 => "k",
                    6 => "M",
                    9 => "G",
                    12 => "T",
                    15 => "P",
                    18 => "E",
                    _ => "",
                };
                f.write_str(suffix)
            }
        }
    }
}

#[cfg(test)]
mod tests;
