//! Lists of API servers that do not stream them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_stream_lists_is_listed_in_pages_and_followed() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::start_with(&["--feature-gates=WatchList=false"]);
    namespace(&cluster, "paged");
    let path = "/api/v1/namespaces/paged/configmaps";
    // More than a page.
    for number in 0..600 {
        cluster.client.post(path, &config_map(&format!("m{number}"), &json!({}), "1")).expect_ok();
    }
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let definition = judging::definition("paged.example.com", &json!({ "strategy": "None" }));
    cluster.client.post(definitions, &definition).expect_ok();
    let rules = kind("paged.example.com/v1", "Rule");
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let rule = format!(
        r#"{{"apiVersion":"paged.example.com/v1","kind":"Rule","metadata":{{"name":"deep","namespace":"paged"}},"spec":{deep}}}"#
    );
    eventually(|| cluster.kubectl(&["create", "-f", "-"], &rule), |made| made.code == 0);

    let maps = kind("v1", "ConfigMap");
    let live = Live::new(&cluster, &[maps.clone(), rules.clone()]).await;
    let Fact::Known(listed) = live.list(&maps, "paged") else { panic!("listed") };
    assert_eq!(listed.len(), 600);
    assert!(matches!(live.get(&rules, "paged", "deep"), Fact::Known(Some(_))));

    cluster.client.delete(&format!("{path}/m0")).expect_ok();
    cluster.client.post(path, &config_map("new", &json!({}), "1")).expect_ok();
    eventually(|| live.get(&maps, "paged", "new"), |found| matches!(found, Fact::Known(Some(_))));
    assert_eq!(live.get(&maps, "paged", "m0"), Fact::Known(None));
    cluster.stop_server();
    cluster.start_server();
    cluster.client.delete(&format!("{path}/new")).expect_ok();
    eventually(|| live.get(&maps, "paged", "new"), |found| *found == Fact::Known(None));
}
