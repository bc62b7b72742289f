//! A flow in a line, as `stockade net flows` prints it.

use stockade_netpol::flows::{End, Flow, Outcome};
use stockade_netpol::policy::Direction;

use crate::table::{BAD, DOUBTFUL, GOOD, shown};

/// `2026-03-01T10:00:00Z denied     egress  shop/web-1 -> shop (app=db) TCP 5432 x5 by NetworkPolicy shop/web egress[0]`
pub fn row(flow: &Flow) -> String {
    let style = match flow.verdict {
        Outcome::Allowed => GOOD,
        Outcome::WouldDeny => DOUBTFUL,
        Outcome::Denied | Outcome::Spoofed | Outcome::Malformed => BAD,
    };
    let port = flow.port.map(|port| format!(" {port}")).unwrap_or_default();
    let times = if flow.count == 1 { String::new() } else { format!(" x{}", flow.count) };
    let rule = flow.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
    let direction = if flow.direction == Direction::Egress { "egress " } else { "ingress" };
    let (from, to) = (end(flow, &flow.from), end(flow, &flow.to));
    let what = shown(&format!("{from} -> {to} {}{port}{times}{rule}", flow.protocol));
    format!("{:.0} {style}{:10}{style:#} {direction} {what}", flow.last, flow.verdict.name())
}

fn end(flow: &Flow, end: &End) -> String {
    match end {
        End::OwnNode => format!("node {}", flow.node),
        End::Pods { .. } | End::Address(_) => end.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_a_line_that_tells_who_what_how_often_and_by_which_rule() {
        let line = r#"{"first":"2026-03-01T10:00:00Z","last":"2026-03-01T10:00:01Z","count":5,"direction":"egress","verdict":"denied","protocol":"TCP","port":5432,"from":{"namespace":"shop","pod":"web-1","labels":{"app":"web"}},"to":{"namespace":"shop","labels":{"a":"1","app":"db","b":"2","c":"3"}},"rule":{"kind":"NetworkPolicy","namespace":"shop","policy":"web","direction":"egress","index":0},"node":"n1"}"#;
        let flow = Flow::parse(line).unwrap();
        let plain = |flow: &Flow| row(flow).replace(&format!("{BAD}"), "").replace(&format!("{BAD:#}"), "");
        insta::assert_snapshot!(plain(&flow), @r"2026-03-01T10:00:01Z denied     egress  shop/web-1 -> shop (a=1,app=db,b=2,and 1 more) TCP 5432 x5 by NetworkPolicy shop/web egress[0]");
        insta::assert_snapshot!(plain(&Flow { to: End::OwnNode, count: 1, rule: None, ..flow }), @r"2026-03-01T10:00:01Z denied     egress  shop/web-1 -> node n1 TCP 5432");
    }
}
