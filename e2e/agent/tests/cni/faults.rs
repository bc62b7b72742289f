//! What becomes of a Pod when the agent does not answer as it should, and what its user is told.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use super::*;

/// A Pod behind `ptp`, and a call of our plugin for it.
struct Call {
    folder: tempfile::TempDir,
    host: Netns,
    pod: Sandbox,
}

// === impl Call ===

impl Call {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), host: Netns::new(), pod: Sandbox::new("web") }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }

    /// What the plugin says with these options; the path of the socket is the same in all tests.
    fn add(&self, options: &Value) -> Said {
        let mut ours = json!({ "type": "stockade-cni", "socket": self.socket(), "waitSeconds": 1 });
        for (name, value) in options.as_object().unwrap() {
            ours[name] = value.clone();
        }
        let list = runtime::list("1.0.0", "ptp", "10.77.0", &self.folder.path().join("ipam"), &ours);
        let mut said = Runtime::new(&self.host).add(&list, &self.pod);
        for text in [&mut said.output, &mut said.errors] {
            *text = text.replace(self.folder.path().to_str().unwrap(), "/run");
        }
        assert!(Runtime::new(&self.host).del(&list, &self.pod).ok);
        said
    }

    /// The same with a listener that does this with each connection.
    fn add_with(&self, options: &Value, listener: impl Fn(UnixStream) + Send + 'static) -> Said {
        let socket = UnixListener::bind(self.socket()).unwrap();
        std::thread::spawn(move || socket.incoming().for_each(|stream| listener(stream.unwrap())));
        self.add(options)
    }
}

fn read_request(stream: &mut UnixStream) {
    let mut bytes = [0; 4096];
    assert_ne!(stream.read(&mut bytes).unwrap(), 0);
}

#[test]
fn a_pod_does_not_start_while_nobody_answers_and_its_user_is_told_what_to_look_at() {
    let deny = json!({});
    let absent = Call::new().add(&deny);
    let refused = Call::new();
    drop(UnixListener::bind(refused.socket()).unwrap());
    let refused = refused.add(&deny);
    let silent = Call::new().add_with(&deny, |mut stream| {
        read_request(&mut stream);
        std::mem::forget(stream);
    });
    let closed = Call::new().add_with(&deny, |mut stream| read_request(&mut stream));
    let garbage = Call::new().add_with(&deny, |mut stream| {
        read_request(&mut stream);
        stream.write_all(b"yes\n").unwrap();
    });
    let endless = Call::new().add_with(&deny, |mut stream| {
        read_request(&mut stream);
        while stream.write_all(&[b' '; 1024]).is_ok() {}
    });
    let said = [absent, refused, silent, closed, garbage, endless];
    assert!(said.iter().all(|said| !said.ok && said.errors.is_empty()), "{said:?}");
    insta::assert_snapshot!(said.map(|said| said.output).join("\n"), @r#"
    {"cniVersion":"1.0.0","code":11,"msg":"Stockade's node agent did not say within 1 s that the network policies of Pod shop/web are in force","details":"/run/agent.sock: no answer: No such file or directory (os error 2). Look at this node's Pod of the DaemonSet stockade-agent; the kubelet tries again by itself"}
    {"cniVersion":"1.0.0","code":11,"msg":"Stockade's node agent did not say within 1 s that the network policies of Pod shop/web are in force","details":"/run/agent.sock: no answer: Connection refused (os error 111). Look at this node's Pod of the DaemonSet stockade-agent; the kubelet tries again by itself"}
    {"cniVersion":"1.0.0","code":11,"msg":"Stockade's node agent did not say within 1 s that the network policies of Pod shop/web are in force","details":"/run/agent.sock: no answer: the wait is over. Look at this node's Pod of the DaemonSet stockade-agent; the kubelet tries again by itself"}
    {"cniVersion":"1.0.0","code":11,"msg":"Stockade's node agent did not say within 1 s that the network policies of Pod shop/web are in force","details":"/run/agent.sock: no answer: unexpected end of file. Look at this node's Pod of the DaemonSet stockade-agent; the kubelet tries again by itself"}
    {"cniVersion":"1.0.0","code":11,"msg":"Stockade's node agent did not say within 1 s that the network policies of Pod shop/web are in force","details":"/run/agent.sock: the answer cannot be read: expected value at line 1 column 1. Look at this node's Pod of the DaemonSet stockade-agent; the kubelet tries again by itself"}
    {"cniVersion":"1.0.0","code":11,"msg":"Stockade's node agent did not say within 1 s that the network policies of Pod shop/web are in force","details":"/run/agent.sock: the answer has more than 16384 bytes. Look at this node's Pod of the DaemonSet stockade-agent; the kubelet tries again by itself"}
    "#);
}

#[test]
fn a_pod_starts_all_the_same_where_that_was_chosen_and_an_operator_is_told() {
    let said = Call::new().add(&json!({ "onTimeout": "Allow" }));
    assert!(said.ok && said.json()["ips"][0]["address"].is_string(), "{said:?}");
    insta::assert_snapshot!(said.errors, @r#"Stockade's node agent did not say within 1 s that the network policies of Pod shop/web are in force; it starts all the same, as onTimeout: Allow says. /run/agent.sock: no answer: No such file or directory (os error 2). Look at this node's Pod of the DaemonSet stockade-agent"#);
}

#[test]
fn what_the_agent_refuses_does_not_start_whatever_was_chosen() {
    let refusing = |mut stream: UnixStream| {
        read_request(&mut stream);
        stream.write_all(b"{\"ok\":false,\"message\":\"no room\"}\n").unwrap();
    };
    let said = Call::new().add_with(&json!({ "onTimeout": "Allow" }), refusing);
    assert!(!said.ok);
    insta::assert_snapshot!(said.output, @r#"{"cniVersion":"1.0.0","code":101,"msg":"Stockade's node agent does not let Pod shop/web start","details":"no room"}"#);
}

#[test]
fn a_namespace_that_is_exempt_is_not_held() {
    let said = Call::new().add(&json!({ "exemptNamespaces": ["shop"] }));
    assert!(said.ok && said.errors.is_empty(), "{said:?}");
}

#[test]
fn who_is_not_root_is_not_the_agent() {
    let call = Call::new();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(call.folder.path(), open).unwrap();
    let mut listener = Listener(
        Command::new("setpriv")
            .args(["--reuid=65534", "--clear-groups", "socat"])
            .arg(format!("UNIX-LISTEN:{},fork", call.socket().display()))
            .arg(r#"SYSTEM:echo '{"ok"\:true}'"#)
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let begin = Instant::now();
    while !call.socket().exists() {
        assert!(begin.elapsed() < Duration::from_secs(120) && listener.0.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = listener.0.id();
    let said = call.add(&json!({}));
    assert!(!said.ok);
    insta::assert_snapshot!(said.output.replace(&pid.to_string(), "PID"), @r#"{"cniVersion":"1.0.0","code":11,"msg":"Stockade's node agent did not say within 1 s that the network policies of Pod shop/web are in force","details":"/run/agent.sock: process PID of user 65534 listens, which is not root. Look at this node's Pod of the DaemonSet stockade-agent; the kubelet tries again by itself"}"#);
}

#[test]
fn an_agent_that_comes_back_within_the_wait_answers() {
    let call = Call::new();
    let socket = call.socket();
    let agent = std::thread::spawn(move || {
        // One that ends with the request in its hands, and the next one.
        let first = UnixListener::bind(&socket).unwrap();
        let (mut stream, _) = first.accept().unwrap();
        read_request(&mut stream);
        drop((stream, first));
        std::fs::remove_file(&socket).unwrap();
        let (mut stream, _) = UnixListener::bind(&socket).unwrap().accept().unwrap();
        read_request(&mut stream);
        stream.write_all(b"{\"ok\":true}\n").unwrap();
    });
    let said = call.add(&json!({ "waitSeconds": 60 }));
    assert!(said.ok, "{said:?}");
    agent.join().unwrap();
}

#[test]
fn an_interface_without_an_end_on_the_host_is_refused() {
    let node = Node::start();
    let pod = Sandbox::new("web");
    pod.netns.ip("link add eth0 type veth peer name other");
    let list = node.list("1.0.0", "ptp");
    let result = json!({ "cniVersion": "1.0.0", "interfaces": [], "ips": [] });
    let runtime = Runtime::new(&node.host);
    let inside = runtime.call("ADD", &list, &list["plugins"][1], Some(&result), &pod);
    pod.netns.ip("link delete eth0");
    let absent = runtime.call("ADD", &list, &list["plugins"][1], Some(&result), &pod);
    // One end in the Pod, the other one in a third network namespace.
    let third = Netns::new();
    let name = third.path();
    let name = name.file_name().unwrap().to_str().unwrap();
    pod.netns.ip(&format!("link add eth0 type veth peer name far netns {name}"));
    let elsewhere = runtime.call("ADD", &list, &list["plugins"][1], Some(&result), &pod);
    let said = [inside, absent, elsewhere];
    assert!(said.iter().all(|said| !said.ok), "{said:?}");
    insta::assert_snapshot!(said.map(|said| said.output).join("\n"), @r#"
    {"cniVersion":"1.0.0","code":100,"msg":"the host's end of the Pod's interface was not found","details":"interface \"eth0\" of the Pod has no other end on the host (ipvlan, macvlan, SR-IOV?): its traffic cannot be judged there"}
    {"cniVersion":"1.0.0","code":100,"msg":"the host's end of the Pod's interface was not found","details":"interface \"eth0\" of the Pod has no other end on the host (ipvlan, macvlan, SR-IOV?): its traffic cannot be judged there"}
    {"cniVersion":"1.0.0","code":100,"msg":"the host's end of the Pod's interface was not found","details":"interface \"eth0\" of the Pod has no other end on the host (ipvlan, macvlan, SR-IOV?): its traffic cannot be judged there"}
    "#);
    assert_eq!(node.end(), Vec::<String>::new());
}

/// A process that ends with the test.
struct Listener(Child);

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
