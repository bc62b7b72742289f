//! The labels that whatever is judged must have: what the selectors of all policies have in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use stockade_policy::selector::{LabelSelector, Operator, Requirement};

/// Most values of one requirement. With more the selector would not spare the API server anything.
const MAX_VALUES: usize = 200;

/// The requirements that hold wherever one of several policies can match, each policy given by all selectors it is
/// under at once. `In` on one key becomes `In` of all the values.
///
/// None is found when there is no policy, when one has no selector, and when one has a selector with a fault: that one
/// is an error in every namespace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Common(Option<Vec<Requirement>>);

// === impl Common ===

impl Common {
    /// One more policy.
    pub(crate) fn and<'s>(&mut self, selectors: impl IntoIterator<Item = &'s LabelSelector>) {
        let mut own: Vec<Requirement> = selectors.into_iter().flat_map(|s| s.requirements.clone()).collect();
        if !own.iter().all(is_sound) {
            own.clear();
        }
        own.iter_mut().for_each(order);
        self.0 = Some(match self.0.take() {
            None => own,
            Some(known) => known.into_iter().filter_map(|requirement| shared(requirement, &own)).collect(),
        });
    }

    /// As a selector has them, sorted.
    pub(crate) fn requirements(&self) -> Vec<LabelSelectorRequirement> {
        let operator = |operator| match operator {
            Operator::In => "In",
            Operator::NotIn => "NotIn",
            Operator::Exists => "Exists",
            Operator::DoesNotExist => "DoesNotExist",
        };
        let write = |r: &Requirement| LabelSelectorRequirement {
            key: r.key.clone(),
            operator: operator(r.operator).to_owned(),
            values: (!r.values.is_empty()).then(|| r.values.clone()),
        };
        let mut written: Vec<_> = self.0.iter().flatten().map(write).collect();
        written.sort_by(|a, b| (&a.key, &a.operator, &a.values).cmp(&(&b.key, &b.operator, &b.values)));
        written.dedup();
        written
    }
}

fn order(requirement: &mut Requirement) {
    requirement.values.sort_unstable();
    requirement.values.dedup();
}

/// The requirement, as far as one of `others` makes it hold too.
fn shared(mut requirement: Requirement, others: &[Requirement]) -> Option<Requirement> {
    if others.contains(&requirement) {
        return Some(requirement);
    }
    let other = others.iter().find(|o| o.key == requirement.key && o.operator == Operator::In)?;
    if requirement.operator != Operator::In {
        return None;
    }
    requirement.values.extend(other.values.iter().cloned());
    order(&mut requirement);
    (requirement.values.len() <= MAX_VALUES).then_some(requirement)
}

/// Whether the API server takes it in a webhook's selector. Stricter than the API server is no harm.
fn is_sound(requirement: &Requirement) -> bool {
    let (prefix, name) = requirement.key.split_once('/').unwrap_or(("a", &requirement.key));
    let subdomain = prefix.len() <= 253 && prefix.split('.').all(|label| is_word(label, "-"));
    let lower = !prefix.contains(|c: char| c.is_ascii_uppercase());
    let values = match requirement.operator {
        Operator::In | Operator::NotIn => !requirement.values.is_empty(),
        Operator::Exists | Operator::DoesNotExist => requirement.values.is_empty(),
    };
    let sound = |value: &String| value.is_empty() || is_word(value, "-_.");
    subdomain && lower && is_word(name, "-_.") && values && requirement.values.iter().all(sound)
}

/// 1 to 63 letters, digits and some more characters, which neither begin nor end it.
fn is_word(text: &str, more: &str) -> bool {
    let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    text.len() <= 63 && outer(text.chars().next()) && outer(text.chars().next_back()) && text.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(requirements: &[(&str, Operator, &[&str])]) -> LabelSelector {
        let one = |(key, operator, values): &(&str, Operator, &[&str])| Requirement {
            key: (*key).to_owned(),
            operator: *operator,
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        };
        LabelSelector { requirements: requirements.iter().map(one).collect() }
    }

    fn common(policies: &[&[LabelSelector]]) -> Vec<String> {
        let mut common = Common::default();
        for selectors in policies {
            common.and(*selectors);
        }
        common.requirements().into_iter().map(|r| format!("{} {} {:?}", r.key, r.operator, r.values)).collect()
    }

    #[test]
    fn only_what_every_policy_requires_is_required() {
        let tenant = || selector(&[("tenant", Operator::Exists, &[]), ("env", Operator::In, &["prod"])]);
        let staging = || selector(&[("env", Operator::In, &["staging", "prod"]), ("tenant", Operator::Exists, &[])]);
        let both = ["env In Some([\"prod\", \"staging\"])", "tenant Exists None"];
        assert_eq!(common(&[&[tenant()], &[staging()]]), both);
        assert_eq!(common(&[&[tenant()], &[selector(&[("tenant", Operator::Exists, &[])])]]), ["tenant Exists None"]);
        assert!(common(&[&[tenant()], &[selector(&[])]]).is_empty());
        assert!(common(&[&[tenant()], &[selector(&[("env", Operator::NotIn, &["prod"])])]]).is_empty());
        assert!(common(&[]).is_empty());
    }

    #[test]
    fn a_selector_that_no_webhook_may_have_requires_nothing() {
        let faulty = |key: &str, values: &[&str]| selector(&[(key, Operator::In, values)]);
        for selector in [faulty("a b", &["x"]), faulty("a", &["x y"]), faulty("a", &[]), faulty("A_B/c", &["x"])] {
            assert!(common(&[&[selector]]).is_empty());
        }
    }
}
