use std::collections::BTreeMap;

use super::*;

const LIST: &str = r#"{ "cniVersion": "1.0.0", "name": "pods", "plugins": [ {"type": "ptp"} ] }
"#;
const SINGLE: &str = r#"{"cniVersion": "0.4.0", "name": "pods", "type": "bridge"}"#;
const ENTRY: &str = r#"{"type":"stockade-cni","socket":"/run/stockade/agent.sock","waitSeconds":10,"onTimeout":"Deny","exemptNamespaces":["kube-system"]}"#;

struct Node {
    folder: tempfile::TempDir,
    installer: Installer,
}

/// A node with these configurations.
fn node(files: &[(&str, &str)]) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| folder.path().join(name);
    let folders = Folders { configurations: of("net.d"), plugins: of("bin") };
    fs::create_dir_all(&folders.configurations).unwrap();
    fs::create_dir_all(&folders.plugins).unwrap();
    for (name, text) in files {
        fs::write(folders.configurations.join(name), text).unwrap();
    }
    fs::write(of("binary"), "a program").unwrap();
    let options = Options {
        socket: PathBuf::from("/run/stockade/agent.sock"),
        wait_seconds: 10,
        on_timeout: OnTimeout::Deny,
        exempt_namespaces: vec!["kube-system".to_owned()],
    };
    let installer = Installer::new(folders, &options).unwrap();
    Node { folder, installer }
}

// === impl Node ===

impl Node {
    fn install(&mut self) -> Result<Chain, String> {
        let installed = self.installer.install(&self.folder.path().join("binary"));
        installed.map_err(|error| self.said(&error))
    }

    fn said(&self, error: &InstallError) -> String {
        error.to_string().replace(self.folder.path().to_str().unwrap(), "")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.installer.folders.configurations.join(name), text).unwrap();
    }

    /// All files of the runtime, with what is in them.
    fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for folder in [&self.installer.folders.configurations, &self.installer.folders.plugins] {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read_to_string(path).unwrap());
            }
        }
        files
    }
}

fn files(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn chained() -> String {
    LIST.replace(" ]", &format!(", {ENTRY} ]"))
}

#[test]
fn the_first_list_is_chained_and_is_what_it_was_when_the_plugin_is_removed() {
    let before =
        [("05-broken.conflist", "{"), ("10-pods.conflist", LIST), ("20-other.conflist", LIST), ("readme", "x")];
    let mut node = node(&before);
    for _ in 0..2 {
        assert_eq!(node.install(), Ok(Chain::Chained("10-pods.conflist".to_owned())));
        let mut expected = files(&before);
        expected.insert("10-pods.conflist".to_owned(), chained());
        expected.insert(PLUGIN.to_owned(), "a program".to_owned());
        assert_eq!(node.files(), expected);
    }
    let mode = fs::metadata(node.installer.folders.plugins.join(PLUGIN)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    for _ in 0..2 {
        node.installer.remove().unwrap();
        assert_eq!(node.files(), files(&before));
    }
}

#[test]
fn a_configuration_of_one_plugin_is_put_aside_and_back() {
    let before = [("10-pods.conf", SINGLE), ("20-other.conflist", LIST)];
    let mut node = node(&before);
    let list = format!("{{\"cniVersion\":\"0.4.0\",\"name\":\"pods\",\"plugins\":[{SINGLE},{ENTRY}]}}\n");
    let expected = files(&[
        ("10-pods.conf.stockade", SINGLE),
        ("10-pods.conf.stockade.conflist", &list),
        ("20-other.conflist", LIST),
        (PLUGIN, "a program"),
    ]);
    assert_eq!(node.install(), Ok(Chain::Chained("10-pods.conf".to_owned())));
    assert_eq!(node.files(), expected);
    assert_eq!(node.install(), Ok(Chain::Chained("10-pods.conf.stockade.conflist".to_owned())));
    assert_eq!(node.files(), expected);
    node.installer.remove().unwrap();
    assert_eq!(node.files(), files(&before));
}

#[test]
fn what_another_plugin_writes_anew_is_chained_again_and_stays_when_ours_is_removed() {
    let mut list = node(&[("10-pods.conflist", LIST)]);
    list.install().unwrap();
    let newer = LIST.replace("ptp", "bridge");
    list.write("10-pods.conflist", &newer);
    list.install().unwrap();
    let expected = [("10-pods.conflist", &*newer.replace(" ]", &format!(", {ENTRY} ]"))), (PLUGIN, "a program")];
    assert_eq!(list.files(), files(&expected));
    list.installer.remove().unwrap();
    assert_eq!(list.files(), files(&[("10-pods.conflist", &*newer)]));

    let mut single = node(&[("10-pods.conf", SINGLE)]);
    single.install().unwrap();
    let newer = SINGLE.replace("bridge", "ptp");
    single.write("10-pods.conf", &newer);
    single.installer.remove().unwrap();
    assert_eq!(single.files(), files(&[("10-pods.conf", &*newer)]));
}

#[test]
fn a_configuration_that_comes_before_is_the_one_that_is_chained() {
    let mut node = node(&[("10-pods.conflist", LIST)]);
    node.install().unwrap();
    node.write("05-new.conflist", LIST);
    assert_eq!(node.install(), Ok(Chain::Chained("05-new.conflist".to_owned())));
    node.installer.remove().unwrap();
    assert_eq!(node.files(), files(&[("05-new.conflist", LIST), ("10-pods.conflist", LIST)]));
}

#[test]
fn a_node_without_a_network_holds_nobody_yet() {
    let mut node = node(&[]);
    assert_eq!(node.install(), Ok(Chain::NoNetwork));
    fs::remove_dir(&node.installer.folders.configurations).unwrap();
    assert_eq!(node.install(), Ok(Chain::NoNetwork));
    node.installer.remove().unwrap();
}

#[test]
fn a_newer_plugin_replaces_the_older_one() {
    let mut node = node(&[("10-pods.conflist", LIST)]);
    node.install().unwrap();
    fs::write(node.folder.path().join("binary"), "another program").unwrap();
    // Another agent.
    node.installer.placed = None;
    node.install().unwrap();
    assert_eq!(node.files()[PLUGIN], "another program");
}

#[test]
fn what_cannot_be_chained_is_told_and_left_as_it_is() {
    let old = LIST.replace("1.0.0", "0.2.0");
    let huge = " ".repeat(1024 * 1024 + 1);
    let mut said = Vec::new();
    for text in [&old, &huge] {
        let mut node = node(&[("10-pods.conflist", text)]);
        said.push(node.install().unwrap_err());
        assert_eq!(node.files(), files(&[("10-pods.conflist", text), (PLUGIN, "a program")]));
    }
    let mut linked = node(&[("pods", LIST)]);
    let folder = &linked.installer.folders.configurations;
    std::os::unix::fs::symlink(folder.join("pods"), folder.join("10-pods.conflist")).unwrap();
    said.push(linked.install().unwrap_err());
    insta::assert_snapshot!(said.join("\n"), @r#"
    /net.d/10-pods.conflist: its cniVersion "0.2.0" is none in which plugins can be chained
    /net.d/10-pods.conflist: more than 1 MiB
    /net.d/10-pods.conflist: is no plain file
    "#);
}

#[test]
fn what_somebody_else_writes_in_the_same_moment_is_not_lost() {
    let node = node(&[("10-pods.conflist", LIST)]);
    let path = node.installer.folders.configurations.join("10-pods.conflist");
    let read = read(&path).unwrap();
    let newer = LIST.replace("ptp", "bridge");
    node.write("10-pods.conflist", &newer);
    let error = read.replace(&path, &chained()).unwrap_err();
    assert_eq!(node.said(&error), "/net.d/10-pods.conflist: was changed by somebody else");
    assert_eq!(node.files(), files(&[("10-pods.conflist", &*newer)]));
}

#[tokio::test(start_paused = true)]
async fn it_is_kept_in_the_chain_and_stays_when_the_agent_ends() {
    let mut node = node(&[]);
    let (told, mut chain) = watch::channel(Chain::default());
    let stop = CancellationToken::new();
    let configurations = node.installer.folders.configurations.clone();
    let binary = node.folder.path().join("binary");
    let stopped = stop.clone();
    let task = tokio::spawn(async move { node.installer.keep(&binary, &told, &stopped).await });
    chain.wait_for(|chain| *chain == Chain::NoNetwork).await.unwrap();
    let path = configurations.join("10-pods.conflist");
    fs::write(&path, LIST).unwrap();
    chain.wait_for(|chain| *chain == Chain::Chained("10-pods.conflist".to_owned())).await.unwrap();
    stop.cancel();
    task.await.unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), chained());
}
