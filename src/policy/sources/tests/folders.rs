//! Which files of a folder are read.

use super::*;

#[test]
fn test_cases_and_hidden_files_of_a_folder_are_left_out() {
    let root = std::env::temp_dir().join(format!("stockade-sources-{}", std::process::id()));
    for (path, text) in [
        ("pack/a/policy.yaml", GOOD),
        ("pack/a/test.yaml", "cases: []"),
        ("pack/a/pass/pod.yaml", "broken: ["),
        ("pack/a/fail/pod.yaml", "broken: ["),
        ("pack/..data/policy.yaml", "broken: ["),
        ("pack/values.yaml", "a: 1\n"),
        ("pack/README.md", "# A"),
    ] {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let sources = load_paths(&[root.clone(), root.join("pack/a/policy.yaml"), root.join("absent.yaml")]);
    let manifests = manifest_files(&[PathBuf::from("-"), root.join("pack/a")]).unwrap();
    fs::remove_dir_all(&root).unwrap();
    let names: Vec<_> = manifests.iter().map(|p| p.strip_prefix(&root).unwrap_or(p).display().to_string()).collect();
    assert_eq!(names, ["-", "pack/a/fail/pod.yaml", "pack/a/pass/pod.yaml", "pack/a/policy.yaml", "pack/a/test.yaml"]);
    assert_eq!((sources.policies.len(), sources.bindings.len(), sources.objects.len()), (1, 1, 1));
    let shown: Vec<_> = sources.diagnostics.iter().map(|d| (d.severity, d.message.as_str())).collect();
    assert_eq!(
        shown,
        [
            (Severity::Error, "cannot be read: No such file or directory (os error 2)"),
            (Severity::Warning, "Object 'apiVersion' is missing"),
            (Severity::Warning, "Object 'kind' is missing"),
        ]
    );
}

#[test]
fn what_cannot_be_looked_at_in_a_folder_refuses_it_and_a_link_to_nowhere_does_not() {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    let root = std::env::temp_dir().join(format!("stockade-links-{}", std::process::id()));
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("policy.yaml"), GOOD).unwrap();
    symlink("gone", root.join("build")).unwrap();
    let faults = || {
        let sources = load_paths(std::slice::from_ref(&root));
        let shown = sources.diagnostics.iter().map(|d| {
            let name = d.file.rsplit('/').next().unwrap_or_default().to_owned();
            (name, d.severity, d.message.split(" (os").next().unwrap_or_default().to_owned())
        });
        shown.collect::<Vec<_>>()
    };
    let before = faults();
    symlink("loop", root.join("loop")).unwrap();
    symlink("gone", root.join("gone.yaml")).unwrap();
    let _socket = UnixListener::bind(root.join("socket.yaml")).unwrap();
    let after = faults();
    fs::remove_dir_all(&root).unwrap();
    let error = |name: &str, message: &str| (name.to_owned(), Severity::Error, message.to_owned());
    assert_eq!(
        (before, after),
        (
            Vec::new(),
            vec![
                error("gone.yaml", "cannot be read: No such file or directory"),
                error("loop", "cannot be read: Too many levels of symbolic links"),
                error("socket.yaml", "is no regular file"),
            ]
        )
    );
}
