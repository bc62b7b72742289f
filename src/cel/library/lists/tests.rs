use crate::library::tests::{errors, values};

#[test]
fn lists_are_cut_turned_and_flattened() {
    values(&[
        ("[1, 2, 3, 4].slice(1, 3)", "[2, 3]"),
        ("[].slice(0, 0)", "[]"),
        ("[1, 2, 3].reverse()", "[3, 2, 1]"),
        ("[[1], [2, 3], []].flatten()", "[1, 2, 3]"),
        ("dyn([dyn(1), dyn([dyn(2), dyn([3])])]).flatten(1)", "[1, 2, [3]]"),
        ("dyn([dyn(1), dyn([dyn(2), dyn([3])])]).flatten(5)", "[1, 2, 3]"),
        ("lists.range(3)", "[0, 1, 2]"),
        ("lists.range(-3)", "[]"),
        ("[1, 2, 1, 3].distinct()", "[1, 2, 3]"),
        ("[dyn(1), dyn(1.0), dyn(1u), dyn('1')].distinct()", "[1, \"1\"]"),
    ]);
    errors(&[
        ("[1].slice(-1, 1)", "cannot slice(-1, 1), negative indexes not supported"),
        ("[1].slice(1, 0)", "cannot slice(1, 0), start index must be less than or equal to end index"),
        ("[1].slice(0, 2)", "cannot slice(0, 2), list is length 1"),
        ("[[1]].flatten(-1)", "level must be non-negative"),
    ]);
}

#[test]
fn lists_are_sorted_by_themselves_or_by_keys() {
    values(&[
        ("[3, 1, 2].sort()", "[1, 2, 3]"),
        ("['b', 'a'].sort()", "[\"a\", \"b\"]"),
        ("[true, false].sort()", "[false, true]"),
        ("[{'n': 3}, {'n': 1}].sortBy(e, e.n).map(e, e.n)", "[1, 3]"),
        ("['bb', 'a', 'cc'].sortBy(e, size(e))", "[\"a\", \"bb\", \"cc\"]"),
    ]);
    errors(&[
        ("dyn([optional.of(1)]).sort()", "list elements must be comparable"),
        ("dyn([dyn(1), dyn('a')]).sort()", "list elements must have the same type"),
    ]);
}

#[test]
fn what_would_cost_too_much_is_not_computed() {
    let limit = "operation cancelled: actual cost limit exceeded";
    errors(&[("lists.range(2000000000)", limit), ("lists.range(10000).distinct()", limit)]);
}

#[test]
fn kubernetes_lists_have_sums_extremes_and_positions() {
    values(&[
        ("[1, 2, 3].sum()", "6"),
        ("[1.5, 2.5].sum()", "4"),
        ("[duration('1m'), duration('1s')].sum()", "61s"),
        ("[].sum()", "0"),
        ("[1.5].filter(x, x > 2.0).sum()", "0"),
        ("[3, 1, 2].min()", "1"),
        ("['a', 'c', 'b'].max()", "c"),
        ("[1, 2, 2].isSorted()", "true"),
        ("[2, 1].isSorted()", "false"),
        ("[1, 2, 2, 3].indexOf(2)", "1"),
        ("[1, 2, 2, 3].lastIndexOf(2)", "2"),
        ("[1, 2].indexOf(9)", "-1"),
    ]);
    errors(&[
        ("[].max()", "max called on empty list"),
        ("[9223372036854775807, 1].sum()", "integer overflow"),
        ("[dyn(1), dyn('a')].sum()", "no such overload"),
    ]);
}
