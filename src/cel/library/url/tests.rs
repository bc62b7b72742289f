use crate::library::tests::{errors, values};

#[test]
fn the_parts_of_a_url_are_told_apart() {
    values(&[(
        "[url('HTTPS://user:pa%20ss@a.b:80/c%2fd e?f=g&f=h+i&j#k')].map(u, [u.getScheme(), u.getHost(), \
         u.getHostname(), u.getPort(), u.getEscapedPath(), u.getQuery().f[1]])",
        "[[\"https\", \"a.b:80\", \"a.b\", \"80\", \"/c/d%20e\", \"h i\"]]",
    )]);
    values(&[
        ("url('https://[::1]:80/').getHostname()", "::1"),
        ("url('https://[fe80::1%25eth0]/').getHost()", "[fe80::1%eth0]"),
        ("url('/a/b').getScheme()", ""),
        ("url('mailto:a@b').getHost()", ""),
        ("url('http://a/b%2Fc').getEscapedPath()", "/b%2Fc"),
        (
            "url('http://a/?x=%zz&y=1;2&=3&z').getQuery().map(k, k + '=' + url('http://a/?x=%zz&y=1;2&=3&z').getQuery()[k][0])",
            "[\"=3\", \"z=\"]",
        ),
    ]);
}

#[test]
fn urls_are_equal_when_they_are_written_alike() {
    values(&[
        ("url('HTTP://a/b') == url('http://a/b')", "true"),
        ("url('http://a') == url('http://a/')", "false"),
        ("url('http://a?') == url('http://a')", "false"),
        ("url('http://a/#') == url('http://a/')", "true"),
    ]);
}

#[test]
fn faults_are_named_as_go_names_them() {
    let rows = [
        ("", "parse \"\": empty url"),
        ("a/b", "parse \"a/b\": invalid URI for request"),
        ("://a", "parse \"://a\": missing protocol scheme"),
        ("http://a b", "parse \"http://a b\": invalid character \" \" in host name"),
        ("http://a/%zz", "parse \"http://a/%zz\": invalid URL escape \"%zz\""),
        ("http://a:x/", "parse \"http://a:x/\": invalid port \":x\" after host"),
        ("http://[::1/", "parse \"http://[::1/\": missing ']' in host"),
        ("http://[1.2.3.4]/", "parse \"http://[1.2.3.4]/\": invalid IP-literal"),
        ("http://u ser@a/", "parse \"http://u ser@a/\": net/url: invalid userinfo"),
        ("http://a?b#%zz", "parse \"http://a?b#%zz\": invalid URL escape \"%zz\""),
        ("//[a", "parse \"//[a\": missing ']' in host"),
    ];
    for (url, expected) in rows {
        let expected = format!("URL parse error during conversion from string: {expected}");
        errors(&[(&format!("url({url:?})"), &expected)]);
    }
}
