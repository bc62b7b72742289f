use super::*;
use serde_json::{Value, json};

fn read(text: &str) -> Vec<Value> {
    let (documents, diagnostics) = parse(&SourceFile::new("a.yaml", text));
    assert!(diagnostics.is_empty(), "{diagnostics}");
    documents.iter().map(Node::to_json).collect()
}

fn faults(name: &str, text: &str) -> String {
    parse(&SourceFile::new(name, text)).1.sorted().to_string()
}

#[test]
fn scalars_are_read_as_kubectl_reads_them() {
    let text = "[yes, No, on, OFF, y, 'yes', ~, null, null, 017, 08, 0o17, 0x1F, 0b11, 1_000, 1.0, 1e3, 1.5, .5, -3, +3, \
                18446744073709551615, 2001-01-01, 1.2.3, 1:30, !!str 1, !!float 1, '1', 0x, 12e03, \
                9223372036854775808, '', 1e400, .5e1, 0B11, 0X1f, 0O7, -0b11, -0x1, 1__2, _1, 0_7, !!int '3', \
                !!binary aGk=, 1., .1.2, ++1, +.5, -.5, !!bool 'yes', -9223372036854775808]";
    let expected = r#"[true, false, true, false, true, "yes", null, null, null, 15, 8, 15, 31, 3, 1000, 1, 1000, 1.5, 0.5, -3, 3,
        18446744073709551615, "2001-01-01", "1.2.3", "1:30", "1", 1, "1", "0x", 12000, 9223372036854775808, "",
        "1e400", 5, 3, 31, 7, -3, -1, 12, "_1", 7, 3, "hi", 1, ".1.2", "++1", 0.5, -0.5, true,
        -9223372036854775808]"#;
    let expected: Value = serde_json::from_str(expected).unwrap();
    assert_eq!(read(text), [expected]);
}

#[test]
fn keys_become_strings_and_documents_are_separate() {
    assert_eq!(
        read("1: a\non: b\n'null': c\n1.5: d\n---\n# nothing\n---\n- 1\n...\n"),
        [json!({"1": "a", "true": "b", "null": "c", "1.5": "d"}), json!([1])]
    );
}

#[test]
fn aliases_and_merge_keys_are_expanded_and_own_keys_win() {
    let text =
        "base: &b {a: 1, b: 2}\nother: &o {b: 3, c: 4}\none:\n  <<: *b\n  a: 9\ntwo:\n  <<: [*b, *o]\nthree: *b\n";
    let document = &read(text)[0];
    assert_eq!(
        json!([document["one"], document["two"], document["three"]]),
        json!([{"a": 9, "b": 2}, {"a": 1, "b": 2, "c": 4}, {"a": 1, "b": 2}])
    );
}

#[test]
fn json_keeps_surrogate_pairs_and_floats() {
    let (documents, _) = parse(&SourceFile::new("a.json", "{\"a\": \"\\ud83d\\ude00\", \"b\": 1.0}\n{\"c\": 1}"));
    let values: Vec<_> = documents.iter().map(Node::to_json).collect();
    assert_eq!(values, [json!({"a": "😀", "b": 1.0}), json!({"c": 1})]);
}

#[test]
fn every_duplicate_key_is_reported_with_its_first_line() {
    insta::assert_snapshot!(faults("a.yaml", "a: 1\nb:\n  c: 1\n  c: 2\na: 3\n"), @r#"
error: key "c" already set in line 3
 --> a.yaml:4:3
  |
4 |   c: 2
  |   ^

error: key "a" already set in line 1
 --> a.yaml:5:1
  |
5 | a: 3
  | ^
"#);
}

#[test]
fn a_broken_document_does_not_hide_the_next() {
    insta::assert_snapshot!(faults("a.yaml", "a: [1\n---\nb: ü: c\n---\nd: 1\nd: 2\n"), @r#"
    error: YAML: while parsing a flow sequence, expected ',' or ']'
     --> a.yaml:2:1
      |
    2 | ---
      | ^

    error: YAML: mapping values are not allowed in this context
     --> a.yaml:3:5
      |
    3 | b: ü: c
      |     ^
      = help: write the text in quotes, or as a block after `|-`
    "#);
}

#[test]
fn broken_json_names_what_was_expected() {
    insta::assert_snapshot!(faults("a.json", "{\"a\": [1, 2}\n"), @r#"
error: JSON: expected ',' or ']', found '}'
 --> a.json:1:12
  |
1 | {"a": [1, 2}
  |            ^
"#);
}

#[test]
fn billions_of_aliases_end_in_an_error() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 9].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    assert!(faults("a.yaml", &text).contains("aliases repeat more than 100000 values"));
}

#[test]
fn deep_nesting_ends_in_an_error() {
    for text in ["[".repeat(10_000), format!("{{\"a\": {}", "[".repeat(10_000)), "- ".repeat(10_000)] {
        let shown = faults("a.yaml", &text);
        assert!(shown.starts_with("error: "), "{shown}");
        assert!(!faults("a.json", &text).is_empty());
    }
}

#[test]
fn a_place_inside_a_string_is_found_in_the_file_whatever_the_style() {
    let text = "literal: |-\n    ab\n      cd ü ef\n\n    MARK\nfolded: >-\n  ab\n  cd\n\n  x MARK\n\
                quoted: \"a\\n\\u00fc\\\n   b\n   c MARK\"\nsingle: 'it''s\n  MARK'\nplain: a\n   b\n   MARK\ntag: !!str MARK\n\
                leading: |\n\n\n  MARK\n";
    let file = SourceFile::new("a.yaml", text);
    let (documents, diagnostics) = parse(&file);
    assert!(diagnostics.is_empty(), "{diagnostics}");
    let places: Vec<_> = ["literal", "folded", "quoted", "single", "plain", "tag", "leading"]
        .into_iter()
        .map(|key| {
            let node = documents[0].get(key).unwrap();
            let at = node.as_str().unwrap().find("MARK").unwrap() as u32;
            let span = node.locate(&file, Span::new(at, at + 4));
            (key, file.slice(span).to_owned(), file.position(span.start).to_string())
        })
        .collect();
    let found = |key, at: &str| (key, "MARK".to_owned(), at.to_owned());
    assert_eq!(
        places,
        [
            found("literal", "5:5"),
            found("folded", "10:5"),
            found("quoted", "13:6"),
            found("single", "15:3"),
            found("plain", "18:4"),
            found("tag", "19:12"),
            found("leading", "23:3")
        ]
    );
}

#[test]
fn line_breaks_that_readers_disagree_on_are_refused() {
    let text = "a: b\u{2028}kind: Pod\n";
    insta::assert_snapshot!(faults("a.yaml", text), @r#"
    error: YAML: U+2028 is a line break to some readers of YAML and none to others
     --> a.yaml:1:5
      |
    1 | a: b kind: Pod
      |     ^
      = help: write it as an escape in a string in double quotes
    "#);
    assert_eq!(faults("a.json", "{\"a\": \"\u{2028}\"}"), "");
}

#[test]
fn a_fault_in_every_byte_of_one_long_line_is_told_in_time() {
    let text = format!("{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{}1]}}", "1, ".repeat(300_000));
    let faults = crate::objects::load_objects("a.json", &text).unwrap_err();
    assert_eq!(faults.len(), crate::diagnostic::MAX_DIAGNOSTICS);
}

#[test]
fn what_yaml_makes_of_unquoted_expressions_is_explained() {
    let texts =
        ["a: !has(object.x) && b\n", "a: [*]\n", "a: 'x' == y\n", "a: b ? c : d\n", "a:\n  b: 1\n c: 2\n", "a: !x y\n"];
    let shown: Vec<_> = texts.iter().map(|t| faults("a.yaml", t)).collect();
    insta::assert_snapshot!(shown.join("\n\n"), @r#"
    error: YAML: `!has(object.x)` is read as a tag, not as text
     --> a.yaml:1:4
      |
    1 | a: !has(object.x) && b
      |    ^^^^^^^^^^^^^^^^^^^
      = help: write the text in quotes, or as a block after `|-`

    error: YAML: while scanning an anchor or alias, did not find expected alphabetic or numeric character
     --> a.yaml:1:5
      |
    1 | a: [*]
      |     ^
      = help: `*` and `&` mean aliases and anchors: write them in quotes, as in "*"

    error: YAML: invalid trailing content after double-quoted scalar
     --> a.yaml:1:8
      |
    1 | a: 'x' == y
      |        ^
      = help: write the text in quotes, or as a block after `|-`

    error: YAML: mapping values are not allowed in this context
     --> a.yaml:1:10
      |
    1 | a: b ? c : d
      |          ^
      = help: write the text in quotes, or as a block after `|-`

    error: YAML: while parsing a block mapping, did not find expected key
     --> a.yaml:3:2
      |
    3 |  c: 2
      |  ^
      = help: check that this line is indented like those around it

    warning: YAML: `!x` is read as a tag, not as text
     --> a.yaml:1:4
      |
    1 | a: !x y
      |    ^^^^
      = help: write the text in quotes, or as a block after `|-`
    "#);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_move_no_place() {
    let text = "\u{feff}a: |-\r\n  x\r\n  y MARK\r\nb: >-\r\n  x\r\n  y MARK\r\n";
    let file = SourceFile::new("a.yaml", text);
    let (documents, diagnostics) = parse(&file);
    assert!(diagnostics.is_empty(), "{diagnostics}");
    let places = ["a", "b"].map(|key| {
        let node = documents[0].get(key).unwrap();
        let at = node.as_str().unwrap().find("MARK").unwrap() as u32;
        file.position(node.locate(&file, Span::new(at, at + 4)).start).to_string()
    });
    assert_eq!(places, ["3:5", "6:5"]);
}
