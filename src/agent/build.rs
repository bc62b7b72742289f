//! Compiles the BPF programs with clang. `make bpf-tools` installs what that needs.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// The compiler, newest first; 19 is what the programs are tested with.
const COMPILERS: [&str; 3] = ["clang-19", "clang-22", "clang"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sources = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("bpf");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let given = env::var("STOCKADE_CLANG").ok();
    println!("cargo::rerun-if-env-changed=STOCKADE_CLANG");
    println!("cargo::rerun-if-changed={}", sources.display());
    let answers = |c: &&str| Command::new(c).arg("--version").output().is_ok_and(|o| o.status.success());
    let compiler = given
        .as_deref()
        .or_else(|| COMPILERS.into_iter().find(answers))
        .ok_or("no clang was found, which compiles the BPF programs: `make bpf-tools` installs it")?;
    for entry in fs::read_dir(&sources)? {
        let source = entry?.path();
        let name = source.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let Some(stem) = name.strip_suffix(".bpf.c") else { continue };
        let status = Command::new(compiler)
            .args(["-target", "bpf", "-mcpu=v3", "-g", "-O2", "-Wall", "-Wextra", "-Werror", "-c"])
            // Headers of the kernel's API that libbpf's headers include; Debian keeps a part in the machine's folder.
            .arg(format!("-I/usr/include/{}-linux-gnu", env::var("CARGO_CFG_TARGET_ARCH")?))
            .arg(format!("-D__TARGET_ARCH_{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "x86" }))
            .arg("-I")
            .arg(env::var("DEP_BPF_INCLUDE").unwrap_or_default())
            .arg(&source)
            .arg("-o")
            .arg(out.join(format!("{stem}.o")))
            .status()?;
        if !status.success() {
            return Err(format!("{compiler} refuses {name}").into());
        }
    }
    Ok(())
}
