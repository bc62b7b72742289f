use super::compile;

fn all<'t>(pattern: &str, text: &'t str) -> Vec<&'t str> {
    compile(pattern).unwrap().find_iter(text).map(|m| m.as_str()).collect()
}

fn error(pattern: &str) -> String {
    compile(pattern).unwrap_err()
}

#[test]
fn perl_classes_and_word_boundaries_are_ascii() {
    assert_eq!(all(r"\w+", "éa_1ß"), ["a_1"]);
    assert_eq!(all(r"\d", "٣3"), ["3"]);
    assert_eq!(all(r"\s", "\u{a0}\u{b} "), [" "]);
    assert_eq!(all(r"\ba", "éa"), ["a"]);
}

#[test]
fn letter_case_folds_over_all_of_unicode() {
    assert_eq!(all("(?i)k", "kK\u{212a}"), ["k", "K", "\u{212a}"]);
    assert_eq!(all(r"(?i)\w", "ſ"), ["ſ"]);
    assert_eq!(all("(?i)a(?-i)b", "ABAb"), ["Ab"]);
}

#[test]
fn flags_hold_until_the_end_of_their_group() {
    assert_eq!(all("(?m)^b$", "a\nb\nc"), ["b"]);
    assert_eq!(all("a$", "a\n"), Vec::<&str>::new());
    assert_eq!(all("((?s).b).b", "\nbxb\nb\nb"), ["\nbxb"]);
    assert_eq!(all("(?U)a+", "aa"), ["a", "a"]);
    assert_eq!(all("(?U)a+?", "aa"), ["aa"]);
}

#[test]
fn a_repetition_after_a_change_of_flags_repeats_what_stood_before_it() {
    assert_eq!(all("^a(?i)*$", "aaa"), ["aaa"]);
    assert_eq!(error("(?i)*"), "error parsing regexp: missing argument to repetition operator: `*`");
}

#[test]
fn quoted_text_is_literal() {
    assert_eq!(all(r"\Q.*\E.", ".*x"), [".*x"]);
    assert_eq!(all(r"\Qa.\E+", "a.."), ["a.."]);
}

#[test]
fn what_the_crate_reads_as_set_operations_is_literal() {
    assert_eq!(all("[a&&b]", "a&"), ["a", "&"]);
    assert_eq!(all("[[a]]", "[]a]"), ["[]", "a]"]);
    assert_eq!(all(r"[^[:^alpha:]]", "1a"), ["a"]);
}

#[test]
fn braces_that_are_no_count_are_literal() {
    assert_eq!(all("x{,2}", "x{,2}"), ["x{,2}"]);
    assert_eq!(all("x{01}", "x{01}"), ["x{01}"]);
}

#[test]
fn surrogates_never_match() {
    assert_eq!(all(r"\x{D800}|[\x{D7FF}-\x{E000}]", "\u{d7ff}a\u{e000}"), ["\u{d7ff}", "\u{e000}"]);
}

#[test]
fn errors_are_worded_as_go_words_them() {
    let rows = [
        ("(a", "missing closing ): `(a`"),
        ("a)", "unexpected ): `a)`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a|*", "missing argument to repetition operator: `*`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("(a{100}){11}", "invalid repeat count: `{11}`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[a", "missing closing ]: `[a`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
        (r"\", "trailing backslash at end of expression: ``"),
        (r"\p{Foo}", r"invalid character class range: `\p{Foo}`"),
        (r"\p{Old_Italic}", r"invalid character class range: `\p{Old_Italic}`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        ("(?<a-b>c)", "invalid named capture: `(?<a-b>`"),
    ];
    for (pattern, expected) in rows {
        assert_eq!(error(pattern), format!("error parsing regexp: {expected}"));
    }
}

#[test]
fn hostile_patterns_end_in_an_error() {
    let deep = "(".repeat(5000) + &")".repeat(5000);
    assert!(error(&deep).starts_with("error parsing regexp: expression nests too deeply: "));
    let wide = r"\pL{1000}".repeat(20);
    assert!(error(&wide).starts_with("error parsing regexp: expression too large: "));
    let classes = r"[[:punct:]]".repeat(100_000);
    assert!(error(&classes).starts_with("error parsing regexp: expression too large: "));
}

#[test]
fn nesting_at_the_limit_compiles_on_a_small_stack() {
    let pattern = "(a(?i)*|".repeat(100) + &")*".repeat(100);
    std::thread::scope(|s| {
        std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn_scoped(s, || assert_eq!(compile(&pattern).unwrap().find("a").map(|m| m.end()), Some(1)))
            .unwrap()
            .join()
            .unwrap();
    });
}
