//! What an image reference says about pulling.

use crate::image_name::ImageName;

/// The default pull policy: `Always` for the tag `latest`, given or implied; `IfNotPresent` for other tags, digests and
/// what is no valid reference.
pub(super) fn pull_policy(image: &str) -> &'static str {
    let latest = match ImageName::parse(image) {
        Some(ImageName { tag: Some(tag), .. }) => tag == "latest",
        Some(ImageName { digest, .. }) => digest.is_none(),
        None => false,
    };
    if latest { "Always" } else { "IfNotPresent" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pull_policy_follows_the_tag() {
        let sha = format!("nginx@sha256:{}", "a".repeat(64));
        let tagged = format!("nginx:latest@sha256:{}", "a".repeat(64));
        let cases = [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.25", "IfNotPresent"),
            ("reg.example:5000/a/b", "Always"),
            ("reg.example:5000/a/b:v1", "IfNotPresent"),
            ("localhost/a__b/c-d.e", "Always"),
            ("Upper/case", "Always"),
            ("nginX", "IfNotPresent"),
            ("", "IfNotPresent"),
            ("a b", "IfNotPresent"),
            ("nginx:", "IfNotPresent"),
            ("nginx@sha256:12", "IfNotPresent"),
            (sha.as_str(), "IfNotPresent"),
            (tagged.as_str(), "Always"),
        ];
        for (image, expected) in cases {
            assert_eq!(pull_policy(image), expected, "{image}");
        }
    }
}
