//! Decimals of any length, for the few quantities that do not fit 64 bits.

use std::cmp::Ordering;

use num_bigint::{BigInt, BigUint, Sign};

use super::Amount;
use crate::functions::Scope;

/// Most digits of a number: far more than any quantity has, few enough that arithmetic stays quick. Upstream has no
/// bound and can be made to compute for hours.
const MAX_DIGITS: i64 = 10_000;

/// The result would have more than [`MAX_DIGITS`] digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inexact;

/// `unscaled · 10^scale`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    unscaled: BigInt,
    scale: i32,
}

impl From<Amount<'_>> for Decimal {
    fn from(amount: Amount<'_>) -> Self {
        match amount {
            Amount::Small { value, scale } => Self { unscaled: value.into(), scale },
            Amount::Large { negative, digits, scale } => {
                let sign = if negative { Sign::Minus } else { Sign::Plus };
                Self { unscaled: BigInt::from_slice(sign, digits), scale }
            }
        }
    }
}

impl Decimal {
    pub(super) fn parse(whole: &str, fraction: &str) -> Result<Self, Inexact> {
        if (whole.len() + fraction.len()) as i64 > MAX_DIGITS {
            return Err(Inexact);
        }
        let unscaled = format!("{whole}{fraction}").parse().map_err(|_| Inexact)?;
        Ok(Self { unscaled, scale: -(fraction.len() as i32) })
    }

    /// Puts it into the arena.
    pub(super) fn store<'a>(&self, scope: &Scope<'a>) -> Amount<'a> {
        let (sign, digits) = self.unscaled.to_u32_digits();
        Amount::Large {
            negative: sign == Sign::Minus,
            digits: scope.arena.alloc_slice_copy(&digits),
            scale: self.scale,
        }
    }

    pub(super) fn negated(&self) -> Self {
        Self { unscaled: -&self.unscaled, scale: self.scale }
    }

    pub(super) fn shifted_left(&self, bits: u32) -> Self {
        Self { unscaled: &self.unscaled << bits, scale: self.scale }
    }

    /// Upstream's scale wraps around at 32 bits.
    pub(super) fn add_to_scale(&mut self, exponent: i32) {
        self.scale = self.scale.wrapping_add(exponent);
    }

    pub(super) fn unscaled_f64(&self) -> f64 {
        use std::str::FromStr as _;
        // The standard library reads decimals correctly rounded.
        f64::from_str(&self.unscaled.to_string()).unwrap_or(f64::NAN)
    }

    /// About how many decimal digits the unscaled number has; at least as many as it has, at most one more.
    fn digits(&self) -> i64 {
        (self.unscaled.bits() as f64 * std::f64::consts::LOG10_2) as i64 + 1
    }

    /// The same number with a lower scale.
    fn rescaled(&self, scale: i32) -> Result<BigInt, Inexact> {
        let places = i64::from(self.scale) - i64::from(scale);
        if self.unscaled.sign() == Sign::NoSign || places <= 0 {
            return Ok(self.unscaled.clone());
        }
        if places + self.digits() > MAX_DIGITS {
            return Err(Inexact);
        }
        Ok(&self.unscaled * BigInt::from(10).pow(places as u32))
    }

    pub(super) fn add(&self, other: &Self) -> Result<Self, Inexact> {
        let scale = self.scale.min(other.scale);
        Ok(Self { unscaled: self.rescaled(scale)? + other.rescaled(scale)?, scale })
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let sign = self.unscaled.sign();
        if sign != other.unscaled.sign() || sign == Sign::NoSign {
            return sign.cmp(&other.unscaled.sign());
        }
        // Position of the highest digit: settles what would be long to write out.
        let (a, b) = (self.digits() + i64::from(self.scale), other.digits() + i64::from(other.scale));
        let by_size = if sign == Sign::Minus { b.cmp(&a) } else { a.cmp(&b) };
        if (a - b).abs() > 2 {
            return by_size;
        }
        let scale = self.scale.min(other.scale);
        match (self.rescaled(scale), other.rescaled(scale)) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => by_size,
        }
    }

    /// Scale -9, rounded away from zero. Zero stays as it is.
    pub(super) fn rounded_up_to_nano(self) -> Result<Self, Inexact> {
        const NANO: i32 = -9;
        if self.unscaled.sign() == Sign::NoSign {
            return Ok(self);
        }
        if self.scale >= NANO {
            return Ok(Self { unscaled: self.rescaled(NANO)?, scale: NANO });
        }
        let places = i64::from(NANO) - i64::from(self.scale);
        let unscaled = if places > self.digits() {
            BigInt::from(if self.unscaled.sign() == Sign::Minus { -1 } else { 1 })
        } else {
            divided_away_from_zero(&self.unscaled, &BigInt::from(10).pow(places as u32))
        };
        Ok(Self { unscaled, scale: NANO })
    }

    pub(super) fn at_most_i64_max(self) -> Self {
        let most = Self { unscaled: i64::MAX.into(), scale: 0 };
        if self.compare(&most) == Ordering::Greater { most } else { self }
    }

    /// Between 0 and 1, both excluded.
    pub(super) fn is_below_one(&self) -> bool {
        self.unscaled.sign() == Sign::Plus && self.compare(&Self { unscaled: 1.into(), scale: 0 }) == Ordering::Less
    }

    /// Mantissa and power of 1024, for a whole number outside -1024 to 1024.
    pub(super) fn binary_form(&self) -> Option<(BigInt, usize)> {
        let mut amount = self.rescaled(self.scale.min(0)).ok()?;
        if self.scale < 0 {
            let places = self.scale.unsigned_abs();
            if i64::from(places) > self.digits() {
                return None;
            }
            let factor = BigInt::from(10).pow(places);
            if &amount % &factor != BigInt::ZERO {
                return None;
            }
            amount /= factor;
        }
        let kibi = BigInt::from(1024);
        if amount.magnitude() < kibi.magnitude() {
            return None;
        }
        let mut power = 0;
        while &amount % &kibi == BigInt::ZERO {
            amount /= &kibi;
            power += 1;
        }
        Some((amount, power))
    }

    /// Mantissa without zeros at its end and exponent, a multiple of three.
    pub(super) fn decimal_form(&self) -> (BigInt, i64) {
        let mut amount = self.unscaled.clone();
        let mut exponent = i64::from(self.scale);
        let ten = BigInt::from(10);
        while amount.sign() != Sign::NoSign && &amount % &ten == BigInt::ZERO {
            amount /= &ten;
            exponent += 1;
        }
        while exponent % 3 != 0 {
            amount *= &ten;
            exponent -= 1;
        }
        (amount, exponent)
    }
}

fn divided_away_from_zero(number: &BigInt, by: &BigInt) -> BigInt {
    let quotient = number / by;
    if number % by == BigInt::ZERO {
        return quotient;
    }
    if number.sign() == Sign::Minus { quotient - 1 } else { quotient + BigInt::from(BigUint::from(1u8)) }
}

/// Go's `math.Pow10`: the product of two table entries, which is not always the nearest double.
pub(super) fn power_of_ten(n: i32) -> f64 {
    const UNITS: [f64; 32] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31,
    ];
    const UP: [f64; 10] = [1e0, 1e32, 1e64, 1e96, 1e128, 1e160, 1e192, 1e224, 1e256, 1e288];
    const DOWN: [f64; 11] = [1e0, 1e-32, 1e-64, 1e-96, 1e-128, 1e-160, 1e-192, 1e-224, 1e-256, 1e-288, 1e-320];
    let m = n.unsigned_abs() as usize;
    match n {
        0..=308 => UP[m / 32] * UNITS[m % 32],
        -323..=-1 => DOWN[m / 32] / UNITS[m % 32],
        ..=-324 => 0.0,
        _ => f64::INFINITY,
    }
}
