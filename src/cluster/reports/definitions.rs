//! The CustomResourceDefinitions of OpenReports as far as Stockade writes them: for a cluster that has none yet.
//!
//! The schema is that of the types here, which are a part of the published one; where the project's own definitions are
//! installed, those are used instead.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Value as Json, json};

use super::Content;

/// Names and texts of the chart's files: Report and ClusterReport, as JSON.
pub fn files() -> [(String, String); 2] {
    [("Report", "reports", "reps", "Namespaced"), ("ClusterReport", "clusterreports", "creps", "Cluster")].map(
        |(kind, plural, short, scope)| {
            let text = format!("{:#}\n", definition(kind, plural, short, scope));
            (format!("{plural}.json"), text)
        },
    )
}

fn definition(kind: &str, plural: &str, short: &str, scope: &str) -> Json {
    let column = |name: &str, kind: &str, path: &str| json!({"name": name, "type": kind, "jsonPath": path});
    let mut columns: Vec<Json> = ["Pass", "Fail", "Warn", "Error", "Skip"]
        .iter()
        .map(|name| column(name, "integer", &format!(".summary.{}", name.to_lowercase())))
        .collect();
    columns.push(column("Age", "date", ".metadata.creationTimestamp"));
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        // Others may write reports of these kinds too: they outlive Stockade.
        "metadata": {
            "name": format!("{plural}.openreports.io"),
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": "openreports.io",
            "scope": scope,
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase(), "shortNames": [short]},
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": schema()},
            }],
        },
    })
}

/// The API server warns whoever installs a format that it does not know.
fn known_format(schema: &mut Schema) {
    if schema.get("format").is_some_and(|format| format == "uint") {
        schema.insert("format".to_owned(), "int64".into());
    }
}

/// The schema of [`Content`], structural, with the metadata that every object has.
fn schema() -> Json {
    let settings = SchemaSettings::openapi3().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let schema = settings
        .with_transform(kube::core::schema::StructuralSchemaRewriter)
        .with_transform(RecursiveTransform(known_format))
        .into_generator()
        .into_root_schema_for::<Content>();
    let mut schema = Json::from(schema);
    if let Some(root) = schema.as_object_mut() {
        root.remove("title");
        root.insert("description".to_owned(), json!("Results of policies on what exists."));
        if let Some(properties) = root.get_mut("properties").and_then(Json::as_object_mut) {
            properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
            properties.insert("kind".to_owned(), json!({"type": "string"}));
            properties.insert("metadata".to_owned(), json!({"type": "object"}));
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_definitions_of_the_chart_are_those_of_the_types() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/stockade/files/reports");
        for (name, text) in super::files() {
            assert_eq!(std::fs::read_to_string(folder.join(&name)).unwrap(), text, "{name}: run make generate");
        }
    }
}
