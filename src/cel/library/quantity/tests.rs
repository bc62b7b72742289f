use bumpalo::Bump;

use super::{Fault, Quantity};
use crate::functions::Scope;
use crate::library::tests::{errors, values};
use crate::symbols::Symbols;

fn canonical(text: &str) -> String {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
    Quantity::parse(text).unwrap().store(&scope).to_string()
}

#[test]
fn quantities_are_written_in_their_canonical_form() {
    let rows = [
        ("0", "0"),
        ("000", "0"),
        ("1000", "1k"),
        ("1500m", "1500m"),
        ("2000m", "2"),
        ("1.5", "1500m"),
        ("0.1n", "1n"),
        ("-0.1n", "-1n"),
        ("1024Ki", "1Mi"),
        ("1.5Gi", "1536Mi"),
        ("1023Ki", "1023Ki"),
        ("0.5Ki", "512"),
        ("1e3", "1e3"),
        ("12345678901234567890", "12345678901234567890"),
        ("12345678901234567890000", "12345678901234567890k"),
        ("9999999999Ei", "9223372036854775807"),
        ("-5Mi", "-5Mi"),
        (".5", "500m"),
        ("5.", "5"),
        ("1E", "1E"),
        ("100E3", "100e3"),
    ];
    for (text, expected) in rows {
        assert_eq!(canonical(text), expected, "{text}");
    }
}

#[test]
fn faults_are_told_apart() {
    let fault = |text| Quantity::parse(text).err();
    assert_eq!(fault(""), Some(Fault::Format));
    assert_eq!(fault("10Mo"), Some(Fault::Format));
    assert_eq!(fault("1..2"), Some(Fault::Format));
    assert_eq!(fault("10Mm"), Some(Fault::Suffix));
    assert_eq!(fault("1e"), Some(Fault::Suffix));
    assert_eq!(fault("e-20"), Some(Fault::Number));
    assert_eq!(fault("."), None);
}

#[test]
fn long_numbers_keep_every_digit() {
    values(&[
        ("quantity('10000000000000000000000000000001').compareTo(quantity('10000000000000000000000000000000'))", "1"),
        ("quantity('9223372036854775807').add(1).compareTo(quantity('9223372036854775808'))", "0"),
        ("quantity('-9223372036854775808').sub(1).isLessThan(quantity('-9223372036854775808'))", "true"),
        ("quantity('1e100').isGreaterThan(quantity('9e99'))", "true"),
        ("quantity('-1e100').isGreaterThan(quantity('9e-99'))", "false"),
        ("[quantity('9999999999999999999999999999999999999')].all(x, x.add(1).compareTo(x.add(2)) == -1)", "true"),
    ]);
}

#[test]
fn whole_numbers_are_integers_only_when_they_are_short_and_without_suffix_below_one() {
    values(&[
        ("quantity('50k').asInteger()", "50000"),
        ("quantity('1000m').isInteger()", "false"),
        ("quantity('1.5Gi').isInteger()", "false"),
        ("quantity('9999999999999999999').isInteger()", "false"),
        ("quantity('50.703k').asApproximateFloat()", "50703"),
        ("sign(quantity('-1'))", "-1"),
    ]);
    errors(&[("quantity('1.5').asInteger()", "cannot convert value to integer")]);
}

#[test]
fn absurd_exponents_end_in_an_answer() {
    values(&[
        ("quantity('1e2000000000').isGreaterThan(quantity('1'))", "true"),
        ("quantity('1e2000000000').isGreaterThan(quantity('12345678901234567890'))", "true"),
        ("quantity('0.00000000000000000001e-2000000000').isLessThan(quantity('2n'))", "true"),
    ]);
    errors(&[
        ("quantity('1e2000000000').add(1)", "quantity out of range"),
        ("quantity('12345678901234567890e2000000000')", "unable to parse numeric part of quantity"),
    ]);
}
