//! ImagePolicy: which images may run.
//!
//! ```yaml
//! apiVersion: stockade.dev/v1alpha1
//! kind: ImagePolicy
//! metadata: {name: shop-images-are-signed}
//! spec:
//!   images: ["registry.example.com/shop/**"]      # globs over references in full form; required
//!   exclude: ["registry.example.com/shop/legacy"]
//!   require: Any                                  # Any (default) or All of the authorities
//!   authorities: […]                              # who may have signed: [`super::image_trust`]
//!   attestations:                                 # statements that must be there, signed, and hold
//!   - name: built-by-us
//!     predicateType: slsaprovenance1              # a URI, or a short name that cosign knows
//!     authorities: [ci]                           # default: all
//!     validations:                                # over predicate, statement, image, object, request, variables, …
//!     - {expression: "predicate.buildDefinition.buildType == 'https://…'", message: …}
//!   unavailable: Deny                             # Deny (default), Warn or Allow: when a registry does not answer
//!   digest: {mutate: true, required: false, except: {namespaceSelector: {…}}}   # tag → tag@sha256:…
//!   registries: […]                               # mirrors, own certificates, plain HTTP
//!   matchConstraints: {…}                         # default: Pods and all that make them, CREATE and UPDATE
//!   # actions, matchConditions, variables, failurePolicy, namespaceGroups, rollout, shadowOf, title, category, severity,
//!   # description and remediation are those of an AdmissionPolicy
//! ```
//!
//! Globs are those of [`crate::images::ImageGlob`]. A policy without authorities needs a digest rule.

use super::{Field, Members, Reader, labels};
use crate::images::{DigestRules, ImageGlob, ImageRules, MAX_GLOBS, Require, Unavailable};
use crate::matching::{MatchResources, RuleWithOperations};

/// What an ImagePolicy is about that does not say: Pods, containers added to them, and all that make Pods.
pub(crate) fn whatever_runs_images() -> MatchResources {
    let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    let rule = |group: &str, resources: &[&str]| RuleWithOperations {
        operations: texts(&["CREATE", "UPDATE"]),
        api_groups: texts(&[group]),
        api_versions: texts(&["v1"]),
        resources: texts(resources),
        ..RuleWithOperations::default()
    };
    MatchResources {
        resource_rules: vec![
            rule("", &["pods", "pods/ephemeralcontainers", "podtemplates", "replicationcontrollers"]),
            rule("apps", &["deployments", "replicasets", "statefulsets", "daemonsets"]),
            rule("batch", &["jobs", "cronjobs"]),
        ],
        ..MatchResources::default()
    }
}

/// Reads what an ImagePolicy has beyond an AdmissionPolicy.
pub(crate) fn read(reader: &mut Reader<'_>, spec: &mut Members<'_>) -> ImageRules {
    let images = spec.require(reader, "images", "which images: globs as registry.example.com/shop/**");
    let images = images.map(|f| read_globs(reader, &f)).unwrap_or_default();
    let exclude = spec.get("exclude").map(|f| read_globs(reader, &f)).unwrap_or_default();
    let require = [("Any", Require::Any), ("All", Require::All)];
    let require = spec.get("require").and_then(|f| reader.choice(&f, &require)).unwrap_or_default();
    let choices = [Unavailable::Deny, Unavailable::Warn, Unavailable::Allow].map(|u| (u.as_str(), u));
    let unavailable = spec.get("unavailable").and_then(|f| reader.choice(&f, &choices)).unwrap_or_default();
    let digest_field = spec.get("digest");
    let digest = read_digest(reader, digest_field.as_ref());
    let asks = digest_field.is_some() && (digest.mutate || digest.required);
    let is_written = |name| spec.field().node.get(name).is_some_and(|n| !n.is_null());
    if !asks && !is_written("authorities") && !is_written("attestations") {
        reader.missing(spec.field(), "authorities", "who may have signed; only a policy with a digest rule needs none");
    }
    ImageRules {
        images,
        exclude,
        require,
        authorities: Vec::new(),
        attestations: Vec::new(),
        unavailable,
        digest,
        details: false,
        registries: Vec::new(),
    }
}

fn read_globs(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<ImageGlob> {
    let mut globs = Vec::new();
    for item in reader.bounded_list(field, MAX_GLOBS) {
        let Some(text) = reader.string(&item) else { continue };
        match ImageGlob::parse(text) {
            Ok(glob) if globs.contains(&glob) => reader.duplicate(&item),
            Ok(glob) => globs.push(glob),
            Err(fault) => reader.invalid(&item, &fault.to_string()),
        }
    }
    globs
}

fn read_digest(reader: &mut Reader<'_>, field: Option<&Field<'_>>) -> DigestRules {
    let default = DigestRules { mutate: true, ..DigestRules::default() };
    let Some(mut members) = field.and_then(|f| reader.members(f)) else { return default };
    let mutate = members.get("mutate").and_then(|f| reader.boolean(&f)).unwrap_or(default.mutate);
    let required = members.get("required").and_then(|f| reader.boolean(&f)).unwrap_or(default.required);
    let except = members.get("except").and_then(|f| {
        let mut except = reader.members(&f)?;
        let selector = except.require(reader, "namespaceSelector", "");
        except.finish(reader);
        selector.and_then(|f| labels::read_selector(reader, &f))
    });
    members.finish(reader);
    DigestRules { mutate, required, except }
}

#[cfg(test)]
mod tests;
