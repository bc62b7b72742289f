use crate::library::tests::{answer, errors, values};

#[test]
fn positions_count_code_points() {
    values(&[
        ("'héllo'.charAt(1)", "é"),
        ("'héllo'.charAt(5)", ""),
        ("'héllo'.indexOf('l')", "2"),
        ("'héllo'.indexOf('l', 3)", "3"),
        ("'héllo'.indexOf('l', 9)", "-1"),
        ("'héllo'.lastIndexOf('l')", "3"),
        ("'héllo'.lastIndexOf('lo', 4)", "3"),
        ("'abab'.lastIndexOf('ab', 1)", "0"),
        ("'abc'.lastIndexOf('b', 9)", "-1"),
        ("'héllo'.substring(1, 3)", "él"),
        ("'héllo'.substring(5)", ""),
    ]);
    errors(&[
        ("'abc'.charAt(4)", "index out of range: 4"),
        ("'abc'.indexOf('c', -1)", "index out of range: -1"),
        ("'abc'.lastIndexOf('c', -1)", "index out of range: -1"),
        ("'abc'.substring(2, 1)", "invalid substring range. start: 2, end: 1"),
        ("'abc'.substring(1, 9)", "index out of range: 9"),
    ]);
}

#[test]
fn an_empty_string_is_found_where_the_search_starts() {
    values(&[
        ("'abc'.indexOf('')", "0"),
        ("'abc'.indexOf('', 77)", "77"),
        ("'abc'.lastIndexOf('')", "3"),
        ("'abc'.lastIndexOf('', -4)", "-4"),
    ]);
}

#[test]
fn replacing_and_splitting_take_a_limit() {
    values(&[
        ("'hello'.replace('l', 'L')", "heLLo"),
        ("'hello'.replace('l', 'L', 1)", "heLlo"),
        ("'hello'.replace('l', 'L', -1)", "heLLo"),
        ("'hello'.replace('l', 'L', 0)", "hello"),
        ("'abc'.replace('', '-')", "-a-b-c-"),
        ("'abc'.replace('', '-', 2)", "-a-bc"),
        ("'a,b,c'.split(',')", "[\"a\", \"b\", \"c\"]"),
        ("'a,b,c'.split(',', 2)", "[\"a\", \"b,c\"]"),
        ("'a,b,c'.split(',', 0)", "[]"),
        ("'héé'.split('', 2)", "[\"h\", \"éé\"]"),
        ("''.split('')", "[]"),
        ("''.split(',')", "[\"\"]"),
    ]);
}

#[test]
fn lists_of_strings_are_joined() {
    values(&[("['a', 'b', 'c'].join(', ')", "a, b, c"), ("['a', 'b'].join()", "ab"), ("[].join('-')", "")]);
    errors(&[("dyn([dyn('a'), dyn(1)]).join('-')", "join: invalid input: 1")]);
}

#[test]
fn only_ascii_letters_change_case() {
    values(&[
        ("'HÉLLO'.lowerAscii()", "hÉllo"),
        ("'héllo'.upperAscii()", "HéLLO"),
        ("' \\t\\u00a0x\\u2003'.trim()", "x"),
    ]);
}

#[test]
fn quoting_escapes_what_cel_escapes() {
    values(&[("strings.quote('a\\n\"\\\\\\u00e9')", "\"a\\n\\\"\\\\é\"")]);
}

#[test]
fn every_clause_formats_its_types() {
    values(&[
        ("'%s %s %s'.format(['a', 1, 2.5])", "a 1 2.5"),
        ("'%s'.format([null])", "null"),
        ("'%s'.format([duration('1h')])", "3600s"),
        ("'%s'.format([type(1)])", "int"),
        ("'%d %d'.format([-5, 5u])", "-5 5"),
        ("'%b %b'.format([5, true])", "101 1"),
        ("'%x %X %x'.format([-255, 255u, 'hi'])", "-ff FF 6869"),
        ("'%o'.format([8])", "10"),
        ("'100%%'.format([])", "100%"),
        (
            "'%s'.format([[1, 'a\\n', 2.5, null, b'x', true, duration('1s')]])",
            "[1, \"a\\n\", 2.500000, null, b\"x\", true, duration(\"1s\")]",
        ),
        ("'%s'.format([{'b': 1, 'a': [double('NaN')]}])", "{\"a\":[\"NaN\"], \"b\":1}"),
    ]);
}

#[test]
fn doubles_are_written_for_en_us() {
    values(&[
        ("'%f'.format([1234567.891])", "1,234,567.891000"),
        ("'%.0f'.format([999.95])", "1,000"),
        ("'%.2f'.format([-0.0001])", "-0.00"),
        ("'%.2f'.format([-0.0])", "0.00"),
        ("'%.20f'.format([0.1])", "0.10000000000000000555"),
        ("'%f'.format([double('-Infinity')])", "-∞"),
        ("'%e'.format([1234.5])", "1.234500×10⁰³"),
        ("'%.2e'.format([1e-300])", "1.000000×10⁻³⁰⁰"),
        ("'%.17e'.format([0.1])", "   1.000000×10⁻⁰¹"),
        ("'%e'.format(['NaN'])", "   NaN"),
    ]);
}

#[test]
fn a_huge_precision_costs_no_memory() {
    for (expression, len) in [("'%.1000000f'.format([1.5])", 66), ("'%.1000000e'.format([1.5])", 16960)] {
        assert_eq!(answer(expression).unwrap().chars().count(), len, "{expression}");
    }
    values(&[("'%.1000000000f'.format([1.5])", "%!(NOVERB)")]);
}

#[test]
fn faults_of_constant_formats_are_found_by_the_checker() {
    errors(&[
        ("'%s'.format([])", "index 0 out of range"),
        ("'a'.format([1])", "too many arguments supplied to string.format (expected 0, got 1)"),
        ("'%'.format([1])", "unexpected end of string"),
        ("'%y'.format([1])", "could not parse formatting clause: unrecognized formatting clause \"y\""),
        (
            "'%.f'.format([1.0])",
            "could not parse formatting clause: error while parsing precision: error while converting precision to \
             integer: strconv.Atoi: parsing \"\": invalid syntax",
        ),
        (
            "'%d'.format(['a'])",
            "error during formatting: decimal clause can only be used on integers, was given string",
        ),
        (
            "'%s'.format([[ip('1.2.3.4')]])",
            "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, \
             lists, types, durations, and timestamps, was given net.IP",
        ),
    ]);
}

#[test]
fn faults_of_other_formats_are_run_time_errors() {
    errors(&[
        ("['%s'].map(f, f.format([]))", "index 0 out of range"),
        ("['%'].map(f, f.format([1]))", "unexpected end of string"),
        (
            "'%s'.format([dyn(optional.of(1))])",
            "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, \
          lists, types, durations, and timestamps, was given optional_type",
        ),
        ("'%s'.format([dyn({1.5: 1})])", "error during formatting: no formatting function for map key of type double"),
        (
            "'%s'.format([b'\\xff'])",
            "error during formatting: could not convert argument \"invalid UTF-8 in bytes, cannot convert to \
             string\" to string",
        ),
    ]);
}
