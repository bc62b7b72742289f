use super::*;

const RESULT: &str = r#"{"cniVersion":"1.0.0","interfaces":[{"name":"cni0"},{"name":"veth1"},{"name":"eth0","sandbox":"/run/netns/a"}],"ips":[{"interface":2,"address":"10.1.0.5/24"},{"interface":0,"address":"10.1.0.1/24"},{"address":"fd00::5/64"}],"x":[1, 2]}"#;

fn variables(name: &str) -> Option<String> {
    let value = match name {
        "CNI_COMMAND" => "ADD",
        "CNI_CONTAINERID" => "f00d",
        "CNI_NETNS" => "/run/netns/a",
        "CNI_IFNAME" => "eth0",
        "CNI_ARGS" => "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=42",
        _ => return None,
    };
    Some(value.to_owned())
}

fn config(more: &str) -> String {
    format!(r#"{{"cniVersion":"1.0.0","name":"pods","type":"stockade-cni","prevResult":{RESULT}{more}}}"#)
}

/// What is said of a call with this variable and this input.
fn failure(name: &str, value: &str, input: &str) -> String {
    let variable = |asked: &str| if asked == name { Some(value.to_owned()) } else { variables(asked) };
    let failure = Call::read(&variable, input.as_bytes()).unwrap_err();
    format!("{} {}: {}", failure.code as u16, failure.msg, failure.details)
}

#[test]
fn an_add_has_the_addresses_of_the_pods_own_interface_and_the_result_to_the_byte() {
    let Call::Add(attachment) = Call::read(&variables, config("").as_bytes()).unwrap() else { panic!("no ADD") };
    let addresses: Vec<IpAddr> = vec!["10.1.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
    assert_eq!(attachment.addresses, addresses);
    assert_eq!(attachment.result.get(), RESULT);
    let pod = Pod { namespace: "shop".to_owned(), name: "web".to_owned(), uid: "42".to_owned() };
    assert_eq!(attachment.pod, pod);
    assert_eq!(attachment.config.socket, PathBuf::from(gate::SOCKET));
    assert_eq!(attachment.config.wait(), Duration::from_secs(10));
    assert_eq!(attachment.config.on_timeout, OnTimeout::Deny);
}

#[test]
fn what_is_wrong_with_a_call_is_told_with_the_code_of_the_specification() {
    let good = config("");
    let said = [
        failure("CNI_COMMAND", "PLAY", &good),
        failure("CNI_COMMAND", "", &good),
        failure("CNI_CONTAINERID", "../etc", &good),
        failure("CNI_IFNAME", "a-name-too-long-for-linux", &good),
        failure("CNI_IFNAME", "a/b", &good),
        failure("CNI_NETNS", "", &good),
        failure("CNI_ARGS", "K8S_POD_NAME=web", &good),
        failure("", "", "{"),
        failure("", "", r#"{"cniVersion":"0.2.0"}"#),
        failure("", "", r#"{"cniVersion":"1.0.0"}"#),
        failure("", "", r#"{"cniVersion":"1.0.0","prevResult":{"ips":[{"address":"::g/64"}]}}"#),
        failure("", "", &config(r#","waitSeconds":0"#)),
        failure("", "", &config(r#","waitSeconds":61"#)),
        failure("", "", &config(r#","socket":"agent.sock""#)),
        failure("", "", &config(r#","onTimeout":"Maybe""#)),
        failure("", "", &" ".repeat(MAX_INPUT + 1)),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    4 the environment's CNI_COMMAND cannot be used: "PLAY" is no command of the specification
    4 the environment's CNI_COMMAND cannot be used: it is missing or is not UTF-8
    4 the environment's CNI_CONTAINERID cannot be used: "../etc" is none
    4 the environment's CNI_IFNAME cannot be used: "a-name-too-long-for-linux" is no name of an interface
    4 the environment's CNI_IFNAME cannot be used: "a/b" is no name of an interface
    4 the environment's CNI_NETNS cannot be used: it is missing or is not UTF-8
    4 the environment's CNI_ARGS cannot be used: "K8S_POD_NAME=web" does not name a Pod
    6 the configuration cannot be read: EOF while parsing an object at line 1 column 1
    1 incompatible version of CNI: "0.2.0" is none of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0
    7 not called in a chain: there is no prevResult: this plugin comes after one that makes the Pod's interface
    6 prevResult cannot be read: "::g/64" is no address
    7 the configuration is not valid: waitSeconds: 0 is not in 1 to 60
    7 the configuration is not valid: waitSeconds: 61 is not in 1 to 60
    7 the configuration is not valid: socket: "agent.sock" is not an absolute path
    6 the configuration cannot be read: unknown variant `Maybe`, expected `Deny` or `Allow` at line 1 column 326
    6 the configuration is too long: it has more than 1048576 bytes
    "#);
}

#[test]
fn a_call_for_versions_needs_nothing_else() {
    let variable = |name: &str| (name == "CNI_COMMAND").then(|| "VERSION".to_owned());
    assert!(matches!(Call::read(&variable, "".as_bytes()), Ok(Call::Version)));
}

#[test]
fn a_del_needs_neither_a_network_namespace_nor_a_result() {
    let variable = |name: &str| match name {
        "CNI_COMMAND" => Some("DEL".to_owned()),
        "CNI_NETNS" => None,
        _ => variables(name),
    };
    assert!(matches!(Call::read(&variable, r#"{"cniVersion":"0.4.0"}"#.as_bytes()), Ok(Call::Del(_))));
}

#[test]
fn every_version_that_is_told_is_read() {
    for version in VERSIONS {
        let input = config("").replacen("1.0.0", version, 1);
        assert!(Call::read(&variables, input.as_bytes()).is_ok(), "{version}");
    }
}
