use super::*;

pub(super) const LINE: &str = r#"{"first":"2026-03-01T10:00:00.000Z","last":"2026-03-01T10:05:00.250Z","count":12,"bytes":720,"direction":"egress","verdict":"allowed","protocol":"TCP","port":5432,"from":{"namespace":"shop","pod":"web-1","labels":{"app":"web"},"address":"10.1.0.7"},"to":{"namespace":"shop","labels":{"app":"db"}},"rule":{"kind":"NetworkPolicy","namespace":"shop","policy":"web","direction":"egress","index":0},"node":"n1"}"#;

#[test]
fn a_flow_is_a_line_and_the_line_is_the_flow() {
    let flow = Flow::parse(LINE).unwrap();
    assert_eq!(flow.line().unwrap(), LINE);
    assert_eq!(flow.rule.as_ref().unwrap().to_string(), "NetworkPolicy shop/web egress[0]");
    assert_eq!((flow.near().namespace(), flow.far()), (Some("shop"), &flow.to));
}

#[test]
fn ends_and_protocols_of_every_kind_are_read_as_they_are_written() {
    let flow = Flow::parse(LINE).unwrap();
    let (address, none) = ("2001:db8::1".parse().unwrap(), Labels::default());
    let pods = End::Pods { namespace: "shop".to_owned(), pod: None, labels: none, address: Some(address) };
    for to in [End::OwnNode, End::Address(address), pods] {
        for (protocol, port) in [(FlowProtocol::of_number(17), Some(53)), (FlowProtocol::of_number(1), None)] {
            let flow = Flow { to: to.clone(), protocol, port, bytes: None, rule: None, ..flow.clone() };
            assert_eq!(Flow::parse(&flow.line().unwrap()).unwrap(), flow);
        }
    }
}

#[test]
fn what_no_agent_writes_is_refused_with_the_reason() {
    let with = |old: &str, new: &str| {
        assert!(LINE.contains(old), "{old}");
        Flow::parse(&LINE.replacen(old, new, 1)).unwrap_err().to_string()
    };
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    let faults = [
        with("\"count\":12", "\"count\":0"),
        with("10:05:00.250Z", "09:05:00.250Z"),
        with("2026-03-01T10:00:00.000Z", "yesterday"),
        with("\"port\":5432,", ""),
        with("\"protocol\":\"TCP\"", "\"protocol\":\"6\""),
        with("\"verdict\":\"allowed\"", "\"verdict\":\"fine\""),
        with("{\"app\":\"web\"}", "{\"app\":\"we\\u001bb\"}"),
        with("\"web-1\"", &format!("\"{long}\"")),
        with("\"namespace\":\"shop\",\"labels\":{\"app\":\"db\"}", "\"labels\":{\"app\":\"db\"}"),
        with("{\"namespace\":\"shop\",\"labels\":{\"app\":\"db\"}}", "{}"),
        with("{\"namespace\":\"shop\",\"pod\":\"web-1\",\"labels\":{\"app\":\"web\"},", "{"),
        with("\"namespace\":\"shop\",\"policy\"", "\"policy\""),
        with("\"node\"", "\"host\""),
        Flow::parse(&" ".repeat(MAX_LINE_BYTES + 1)).unwrap_err().to_string(),
    ];
    insta::assert_snapshot!(faults.join("\n"), @r"
    count: a flow was seen once at least
    last: a flow does not end before it begins
    a time is wanted, as in 2026-01-02T03:04:05Z at line 1 column 20
    port: TCP, UDP and SCTP have one, other protocols none
    a protocol is TCP, UDP, SCTP or the number of another at line 1 column 148
    unknown variant `fine`, expected one of `allowed`, `denied`, `would-deny`, `spoofed`, `malformed` at line 1 column 130
    a name is longer than any of Kubernetes, or has characters that none has
    a name is longer than any of Kubernetes, or has characters that none has
    a Pod has a namespace at line 1 column 277
    an end is one of a Pod (namespace), the own node (ownNode) and an address at line 1 column 256
    from, to: a flow is judged at a Pod's end
    rule: a NetworkPolicy has a namespace, no other kind has
    unknown field `host`, expected one of `first`, `last`, `count`, `bytes`, `direction`, `verdict`, `protocol`, `port`, `from`, `to`, `rule`, `node` at line 1 column 400
    longer than 65536 bytes
    ");
}

#[test]
fn a_line_may_tell_how_many_are_missing() {
    assert_eq!(Line::parse(&Line::missed(7)).unwrap(), Line::Missed(7));
    assert!(matches!(Line::parse(LINE).unwrap(), Line::Flow(_)));
    let fault = Line::parse("{\"missed\":1,\"\u{1b}[31m\":2}").unwrap_err().to_string();
    assert!(!fault.contains('\u{1b}'), "{fault}");
}
