//! Label selectors (`metav1.LabelSelector`).

use std::fmt;

use stockade_cel::value::Object;

/// All requirements must hold. Empty matches everything. Shown as the API server takes it in a query (`app in
/// (a,b),!old`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LabelSelector {
    /// `matchLabels` and `matchExpressions`, together.
    pub requirements: Vec<Requirement>,
}

/// One requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what; empty for `Exists` and `DoesNotExist`.
    pub values: Vec<String>,
}

/// `metav1.LabelSelectorOperator`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// The value is one of them.
    In,
    /// The key is absent or the value is none of them.
    NotIn,
    /// The key is there.
    Exists,
    /// The key is not there.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether labels match. `None` stands for an object without labels.
    pub fn matches(&self, labels: Option<&Object<'_>>) -> bool {
        self.matches_by(|key| labels.and_then(|l| l.get(key)).and_then(|v| v.as_str()))
    }

    /// Whether labels match that are looked up by their key.
    pub fn matches_by<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.requirements.iter().all(|r| match (r.operator, label(&r.key)) {
            (Operator::In, Some(v)) => r.values.iter().any(|w| w == v),
            (Operator::NotIn, Some(v)) => r.values.iter().all(|w| w != v),
            (Operator::In, None) | (Operator::DoesNotExist, Some(_)) | (Operator::Exists, None) => false,
            (Operator::NotIn, None) | (Operator::DoesNotExist, None) | (Operator::Exists, Some(_)) => true,
        })
    }

    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Requirement { key, operator, values }) in self.requirements.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            match operator {
                Operator::In => write!(f, "{key} in ({})", values.join(","))?,
                Operator::NotIn => write!(f, "{key} notin ({})", values.join(","))?,
                Operator::Exists => f.write_str(key)?,
                Operator::DoesNotExist => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}
