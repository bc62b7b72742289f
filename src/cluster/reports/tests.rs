use stockade_engine::audit::{Judgement, RuleResult};

use super::*;
use crate::audit::results::{Object, Texts};
use crate::flows::PolicyName;

fn results(outcomes: &[(&str, Outcome)], passes: u32, now: i64) -> Results {
    let (mut results, mut texts, mut unit) = (Results::default(), Texts::default(), Unit::default());
    for (name, outcome) in outcomes {
        let result = RuleResult {
            policy: "no-host-network".to_owned(),
            binding: "everywhere".to_owned(),
            rule: "validations[0]".to_owned(),
            outcome: *outcome,
            message: "not for you".to_owned(),
            trace: None,
            exception: outcome.waived().map(|_| "shop/agents".to_owned()),
        };
        let object = |texts: &mut Texts| Object {
            api_version: texts.share("v1"),
            kind: texts.share("Pod"),
            name: texts.share(name),
            uid: texts.share(&format!("uid-{name}")),
        };
        unit.add(&Judgement { results: vec![result], passes, ..Judgement::default() }, object, &mut texts, now);
    }
    results.replace(&"shop".into(), &"pods".into(), unit);
    results
}

fn audited(results: &Results) -> Sources<'_> {
    Sources { results, would_deny: &[] }
}

fn policies() -> Policies {
    let metadata =
        Metadata { category: Some("Hosts".to_owned()), severity: Some("high".to_owned()), ..Default::default() };
    Policies::from([("no-host-network".into(), metadata)])
}

#[test]
fn a_report_has_all_that_policy_reporter_reads() {
    let results = results(&[("a", Outcome::WaivedFail)], 3, 1_700_000_000);
    let report = render("shop", audited(&results), &policies(), Group::OpenReports).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&report.content).unwrap(), @r#"
    {
      "source": "stockade",
      "scope": {
        "apiVersion": "v1",
        "kind": "Namespace",
        "name": "shop"
      },
      "summary": {
        "pass": 3,
        "fail": 0,
        "warn": 0,
        "error": 0,
        "skip": 1
      },
      "results": [
        {
          "policy": "no-host-network",
          "rule": "validations[0]",
          "category": "Hosts",
          "severity": "high",
          "result": "skip",
          "scored": true,
          "timestamp": {
            "seconds": 1700000000,
            "nanos": 0
          },
          "message": "not for you",
          "resources": [
            {
              "apiVersion": "v1",
              "kind": "Pod",
              "namespace": "shop",
              "name": "a",
              "uid": "uid-a"
            }
          ],
          "properties": {
            "binding": "everywhere",
            "exception": "shop/agents",
            "waived": "fail"
          }
        }
      ]
    }
    "#);
    assert_eq!(report.left_out, 0);
}

#[test]
fn the_worst_comes_first_and_what_is_waived_last() {
    let outcomes = [Outcome::WaivedPass, Outcome::WaivedFail, Outcome::Warn, Outcome::Fail, Outcome::Error];
    let outcomes: Vec<(&str, Outcome)> = ["a", "b", "c", "d", "e"].into_iter().zip(outcomes).collect();
    let report = render("shop", audited(&results(&outcomes, 0, 0)), &policies(), Group::OpenReports).unwrap();
    let told = |r: &ReportResult| (r.resources[0].name.clone(), r.result.clone(), r.properties.get("waived").cloned());
    let expected = [("d", "fail", None), ("e", "error", None), ("c", "warn", None), ("b", "skip", Some("fail"))];
    let expected = expected.into_iter().chain([("a", "skip", Some("pass"))]);
    let expected: Vec<_> = expected
        .map(|(n, r, w): (&str, &str, Option<&str>)| (n.to_owned(), r.to_owned(), w.map(str::to_owned)))
        .collect();
    assert_eq!(report.content.results.iter().map(told).collect::<Vec<_>>(), expected);
}

#[test]
fn times_and_passes_do_not_make_another_report() {
    let hash = |outcome, passes, now| {
        render("shop", audited(&results(&[("a", outcome)], passes, now)), &policies(), Group::OpenReports).unwrap().hash
    };
    assert_eq!(hash(Outcome::Fail, 1, 10), hash(Outcome::Fail, 2, 20));
    assert_ne!(hash(Outcome::Fail, 1, 10), hash(Outcome::Warn, 1, 10));
}

#[test]
fn what_there_is_no_room_for_is_counted() {
    let many: Vec<(String, Outcome)> = (0..MAX_RESULTS + 500).map(|n| (format!("pod-{n:04}"), Outcome::Fail)).collect();
    let many: Vec<(&str, Outcome)> = many.iter().map(|(n, o)| (n.as_str(), *o)).collect();
    let report = render("shop", audited(&results(&many, 0, 0)), &policies(), Group::PolicyReports).unwrap();
    let told = report.content.results.len();
    assert!(told <= MAX_RESULTS && told > 900);
    assert_eq!((report.content.summary.fail, told + report.left_out), (MAX_RESULTS + 500, MAX_RESULTS + 500));
    assert!(render("bank", audited(&results(&many, 0, 0)), &policies(), Group::OpenReports).is_none());
}

#[test]
fn what_audited_network_policies_would_deny_is_a_failure_of_the_policy_and_written_when_there_is_ten_times_as_much() {
    let denial = |at_least| WouldDeny {
        policy: PolicyName { kind: PolicyKind::NetworkPolicy, namespace: "shop".to_owned(), name: "db".to_owned() },
        rule: "ingress".to_owned(),
        message: "TCP 5432 from Pods of shop (app=web) would be denied".to_owned(),
        from: "shop (app=web)".to_owned(),
        to: "shop (app=db)".to_owned(),
        protocol: "TCP".to_owned(),
        port: Some(5432),
        at_least,
        since: 1_700_000_000,
    };
    let rendered = |at_least, passes| {
        let would_deny = &[denial(at_least)];
        let results = &results(&[("a", Outcome::Warn)], passes, 0);
        render("shop", Sources { results, would_deny }, &policies(), Group::OpenReports).unwrap()
    };
    let report = rendered(10, 3);
    assert_eq!(report.content.summary, Summary { pass: 3, fail: 1, warn: 1, ..Summary::default() });
    assert_eq!((report.hash == rendered(10, 4).hash, report.hash == rendered(100, 3).hash), (true, false));
    insta::assert_snapshot!(serde_json::to_string_pretty(&report.content.results[1..]).unwrap(), @r#"
    [
      {
        "policy": "db",
        "rule": "ingress",
        "category": "Network flows",
        "result": "fail",
        "scored": true,
        "timestamp": {
          "seconds": 1700000000,
          "nanos": 0
        },
        "message": "TCP 5432 from Pods of shop (app=web) would be denied",
        "resources": [
          {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "namespace": "shop",
            "name": "db"
          }
        ],
        "properties": {
          "connections": "10 or more",
          "from": "shop (app=web)",
          "port": "5432",
          "protocol": "TCP",
          "to": "shop (app=db)"
        }
      }
    ]
    "#);
    // Nobody need have judged anything else there.
    let sources = Sources { results: &Results::default(), would_deny: &[denial(1)] };
    assert!(render("shop", sources, &policies(), Group::OpenReports).is_some());
}
