//! What mutations make of the file that a user wrote.
//!
//! Policies judge an object as the API server presents it: defaults filled, namespace set. Shown to the user, a
//! mutation should be a change of the file and not of all that: so the difference between the presented object and
//! the mutated one is carried over to the object as written.

use serde_json::{Map, Value as Json};

/// The object as written with the changes that led from `presented` to `mutated`.
///
/// Elements of lists are matched from both ends, as a mutation adds, removes or replaces one run of them.
pub fn carry_over(written: &Json, presented: &Json, mutated: &Json) -> Json {
    if presented == mutated {
        return written.clone();
    }
    match (presented, mutated) {
        (Json::Object(presented), Json::Object(mutated)) => {
            let nothing = Map::new();
            let written = written.as_object().unwrap_or(&nothing);
            let mut result = Map::new();
            for (key, value) in written {
                match (presented.get(key), mutated.get(key)) {
                    (Some(before), Some(after)) => {
                        result.insert(key.clone(), carry_over(value, before, after));
                    }
                    (Some(_), None) => {}
                    (None, Some(after)) => {
                        result.insert(key.clone(), after.clone());
                    }
                    // What presenting dropped (a null, an unknown field) stays as it was written.
                    (None, None) => {
                        result.insert(key.clone(), value.clone());
                    }
                }
            }
            for (key, after) in mutated.iter().filter(|(key, _)| !written.contains_key(*key)) {
                match presented.get(key) {
                    Some(before) if before == after => {}
                    Some(before) => {
                        result.insert(key.clone(), carry_over(&Json::Null, before, after));
                    }
                    None => {
                        result.insert(key.clone(), after.clone());
                    }
                }
            }
            Json::Object(result)
        }
        (Json::Array(presented), Json::Array(mutated)) => match written.as_array() {
            Some(written) if written.len() == presented.len() => lists(written, presented, mutated),
            _ => Json::Array(mutated.clone()),
        },
        _ => mutated.clone(),
    }
}

fn lists(written: &[Json], presented: &[Json], mutated: &[Json]) -> Json {
    if presented.len() == mutated.len() {
        return written.iter().zip(presented).zip(mutated).map(|((w, p), m)| carry_over(w, p, m)).collect();
    }
    let shorter = presented.len().min(mutated.len());
    let front = presented.iter().zip(mutated).take_while(|(p, m)| p == m).count();
    let back = presented.iter().rev().zip(mutated.iter().rev()).take_while(|(p, m)| p == m).count();
    let back = back.min(shorter - front);
    let kept = &written[..front];
    let changed = &mutated[front..mutated.len() - back];
    kept.iter().chain(changed).chain(&written[written.len() - back..]).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_changes_are_carried_over() {
        let written = json!({"kind": "Pod", "spec": {"containers": [{"name": "a"}], "x": null}});
        let presented = json!({"kind": "Pod", "metadata": {"namespace": "default"},
            "spec": {"containers": [{"name": "a", "policy": "Always"}], "dns": "First"}});
        let mut mutated = presented.clone();
        mutated["metadata"]["labels"] = json!({"l": "v"});
        mutated["spec"]["containers"][0]["image"] = json!("i");
        mutated["spec"]["dns"] = json!("None");
        assert_eq!(
            carry_over(&written, &presented, &mutated),
            json!({"kind": "Pod", "metadata": {"labels": {"l": "v"}},
                "spec": {"containers": [{"name": "a", "image": "i"}], "x": null, "dns": "None"}})
        );
        assert_eq!(carry_over(&written, &presented, &presented), written);
    }

    #[test]
    fn list_elements_are_matched_from_both_ends() {
        let written = json!([{"n": 1}, {"n": 2}]);
        let presented = json!([{"n": 1, "d": 0}, {"n": 2, "d": 0}]);
        let with = |elements: Json| carry_over(&written, &presented, &elements);
        assert_eq!(with(json!([{"n": 1, "d": 0}, {"n": 2, "d": 0}, {"n": 3}])), json!([{"n": 1}, {"n": 2}, {"n": 3}]));
        assert_eq!(with(json!([{"n": 0}, {"n": 1, "d": 0}, {"n": 2, "d": 0}])), json!([{"n": 0}, {"n": 1}, {"n": 2}]));
        assert_eq!(with(json!([{"n": 2, "d": 0}])), json!([{"n": 2}]));
        assert_eq!(with(json!([])), json!([]));
    }

    #[test]
    fn a_removed_field_is_removed_where_it_was_written() {
        let written = json!({"a": 1, "b": 2});
        assert_eq!(carry_over(&written, &written, &json!({"b": 2})), json!({"b": 2}));
    }
}
