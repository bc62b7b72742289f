//! How the server's Go types write their fields as JSON: which are pointers (a zero value is kept), which are written
//! always, which are left out when empty. The OpenAPI document does not tell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Package prefix in the OpenAPI names, Go module, folder of the module.
const PACKAGES: [(&str, &str, &str); 4] = [
    ("io.k8s.api.", "k8s.io/api", ""),
    ("io.k8s.apimachinery.pkg.", "k8s.io/apimachinery", "pkg"),
    ("io.k8s.apiextensions-apiserver.pkg.apis.", "k8s.io/apiextensions-apiserver", "pkg/apis"),
    ("io.k8s.kube-aggregator.pkg.apis.", "k8s.io/kube-aggregator", "pkg/apis"),
];

/// Presence mark by JSON field name.
pub(crate) type Marks = BTreeMap<String, &'static str>;

/// Reads packages on demand from the module cache that the tools were built from.
pub(crate) struct GoTypes {
    tools: PathBuf,
    packages: BTreeMap<PathBuf, BTreeMap<String, Vec<String>>>,
    modules: BTreeMap<&'static str, PathBuf>,
}

impl GoTypes {
    /// `tools`: folder of the go.mod that builds kube-apiserver.
    pub(crate) fn new(tools: PathBuf) -> Self {
        Self { tools, packages: BTreeMap::new(), modules: BTreeMap::new() }
    }

    /// Marks of a type by its OpenAPI name; empty when its package is not one of the known.
    pub(crate) fn marks(&mut self, openapi_name: &str) -> std::io::Result<Marks> {
        let mut marks = Marks::new();
        for (prefix, module, folder) in PACKAGES {
            let Some((package, name)) = openapi_name.strip_prefix(prefix).and_then(|r| r.rsplit_once('.')) else {
                continue;
            };
            let dir = self.module(module)?.join(folder).join(package.replace('.', "/"));
            self.read(&dir)?;
            self.collect(&dir, name, &mut marks);
        }
        Ok(marks)
    }

    fn module(&mut self, module: &'static str) -> std::io::Result<PathBuf> {
        if let Some(dir) = self.modules.get(module) {
            return Ok(dir.clone());
        }
        let args = ["list", "-m", "-f", "{{.Dir}}", module];
        let out = Command::new("go").args(args).current_dir(&self.tools).output()?;
        let dir = PathBuf::from(String::from_utf8_lossy(&out.stdout).trim().to_owned());
        if !dir.is_dir() {
            return Err(std::io::Error::other(format!("no sources of {module}; build the tools first")));
        }
        self.modules.insert(module, dir.clone());
        Ok(dir)
    }

    /// Field lines of all struct types of a package.
    fn read(&mut self, dir: &Path) -> std::io::Result<()> {
        if self.packages.contains_key(dir) || !dir.is_dir() {
            return Ok(());
        }
        let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !name.ends_with(".go") || name.starts_with("zz_") || name.contains(".pb.") || name.contains("_test") {
                continue;
            }
            let mut current: Option<String> = None;
            for line in std::fs::read_to_string(&path)?.lines() {
                if let Some(name) = line.strip_prefix("type ").and_then(|l| l.strip_suffix(" struct {")) {
                    current = Some(name.to_owned());
                } else if line.starts_with('}') {
                    current = None;
                } else if let Some(name) = current.as_ref().filter(|_| line.contains("`json:\"")) {
                    types.entry(name.clone()).or_default().push(line.trim().to_owned());
                }
            }
        }
        self.packages.insert(dir.to_owned(), types);
        Ok(())
    }

    fn collect(&self, dir: &Path, name: &str, marks: &mut Marks) {
        let fields = self.packages.get(dir).and_then(|types| types.get(name));
        for line in fields.into_iter().flatten() {
            let Some((declaration, tag)) = line.split_once("`json:\"") else { continue };
            let mut options = tag.split('"').next().unwrap_or_default().split(',');
            let json = options.next().unwrap_or_default();
            let options: Vec<_> = options.collect();
            let mut words = declaration.split_whitespace();
            let first = words.next().unwrap_or_default();
            if json.is_empty() {
                // Embedded: its fields are ours. Those of other packages (TypeMeta, ObjectMeta) have their own type.
                self.collect(dir, first, marks);
                continue;
            }
            let pointer = words.next().unwrap_or_default().starts_with('*');
            let mark = match (pointer, options.contains(&"omitzero"), options.contains(&"omitempty")) {
                (true, false, false) => "*",
                (true, ..) => "&",
                (false, true, _) => "-",
                (false, false, false) => "+",
                (false, false, true) => "",
            };
            marks.insert(json.to_owned(), mark);
        }
    }
}
