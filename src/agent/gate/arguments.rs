//! What the command line says of the start gate.

use std::path::PathBuf;

use clap::Args;
use stockade_cni::call::{MAX_EXEMPT_NAMESPACES, MAX_WAIT_SECONDS, OnTimeout};

use crate::gate::install::{Folders, InstallError, Installer, Options};

/// Arguments of the start gate.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Start gate")]
pub struct Arguments {
    /// Where the CNI plugin asks, on the node as well as here.
    #[arg(long, value_name = "PATH", default_value = stockade_cni::gate::SOCKET)]
    pub socket: PathBuf,

    /// Where the node's container runtime has its plugins; the CNI plugin is put there.
    #[arg(long, value_name = "FOLDER", requires = "cni_configurations")]
    cni_plugins: Option<PathBuf>,

    /// Where it has its network configurations; the CNI plugin is chained into the one in use.
    #[arg(long, value_name = "FOLDER", requires = "cni_plugins")]
    cni_configurations: Option<PathBuf>,

    /// The CNI plugin to put there.
    #[arg(long, value_name = "FILE", default_value = "/stockade-cni")]
    pub cni_plugin: PathBuf,

    /// How many seconds a Pod's start is held at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=MAX_WAIT_SECONDS))]
    gate_wait: u64,

    /// What becomes of it then: `Deny` or `Allow`.
    #[arg(long, value_name = "CHOICE", default_value = "Deny")]
    gate_on_timeout: OnTimeout,

    /// Namespaces whose Pods are not held.
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',')]
    gate_exempt: Vec<String>,
}

// === impl Arguments ===

impl Arguments {
    /// Who puts the plugin into its place; none where Pods are not to be held.
    ///
    /// # Errors
    /// When a path is not UTF-8, or too many namespaces are exempt.
    pub fn installer(&self) -> Result<Option<Installer>, InstallError> {
        let (Some(plugins), Some(configurations)) = (&self.cni_plugins, &self.cni_configurations) else {
            return Ok(None);
        };
        if self.gate_exempt.len() > MAX_EXEMPT_NAMESPACES {
            return Err(InstallError::TooManyExempt);
        }
        let folders = Folders { configurations: configurations.clone(), plugins: plugins.clone() };
        let options = Options {
            socket: self.socket.clone(),
            wait_seconds: self.gate_wait,
            on_timeout: self.gate_on_timeout,
            exempt_namespaces: self.gate_exempt.iter().filter(|name| !name.is_empty()).cloned().collect(),
        };
        Installer::new(folders, &options).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        gate: Arguments,
    }

    fn parse(arguments: &str) -> Result<Arguments, clap::Error> {
        Command::try_parse_from(["agent"].into_iter().chain(arguments.split_whitespace())).map(|command| command.gate)
    }

    #[test]
    fn pods_are_held_where_both_folders_are_said() {
        assert!(parse("").unwrap().installer().unwrap().is_none());
        let both = "--cni-plugins=/a --cni-configurations=/b --gate-on-timeout=Allow --gate-exempt=";
        assert!(parse(both).unwrap().installer().unwrap().is_some());
        for wrong in
            ["--cni-plugins=/a", "--cni-configurations=/b", "--gate-wait=0", "--gate-wait=61", "--gate-on-timeout=x"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
