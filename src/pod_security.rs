//! `--pod-security LEVEL[:VERSION]`: the Pod Security Standards pack at a fixed level.

use std::str::FromStr;

/// The pack's policy, compiled into the binary so that the flag works anywhere.
pub(crate) const POLICY: &str = include_str!("../policies/pod-security/pod-security-standards/policy.yaml");

/// Name under which diagnostics show the built-in policy.
pub(crate) const POLICY_FILE: &str = "policies/pod-security/pod-security-standards/policy.yaml";

/// Its name.
pub(crate) const POLICY_NAME: &str = "pod-security-standards";

/// A level and version of the Pod Security Standards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Level {
    level: &'static str,
    version: String,
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (level, version) = text.split_once(':').unwrap_or((text, "latest"));
        let level = ["privileged", "baseline", "restricted"]
            .into_iter()
            .find(|l| *l == level)
            .ok_or_else(|| format!("{level:?} is no level: use privileged, baseline or restricted"))?;
        let minor = version.strip_prefix("v1.").unwrap_or("");
        if version != "latest" && (minor.is_empty() || minor.len() > 4 || !minor.bytes().all(|b| b.is_ascii_digit())) {
            return Err(format!("{version:?} is no version: use latest or v1.N"));
        }
        Ok(Self { level, version: version.to_owned() })
    }
}

impl Level {
    /// Binding and params that put the policy in force at this level, as YAML.
    pub(crate) fn binding(&self) -> String {
        format!(
            "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: pod-security-{level}}}
spec:
  policyName: pod-security-standards
  validationActions: [Deny]
  paramRef: {{name: pod-security-fixed, namespace: stockade-system, parameterNotFoundAction: Deny}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: pod-security-fixed, namespace: stockade-system}}
data: {{mode: enforce, level: {level}, version: {version}}}
",
            level = self.level,
            version = self.version,
        )
    }
}
