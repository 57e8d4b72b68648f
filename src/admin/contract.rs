//! Holds answers against the API's document. For tests only; the stories over a whole daemon use this file as well.

use serde_json::{Value, json};

/// The document as it is written.
const YAML: &str = include_str!("openapi.yaml");

/// The document, ready to hold answers against it.
pub(crate) struct Contract {
    document: Value,
}

impl Contract {
    pub(crate) fn load() -> Self {
        Self {
            document: serde_yaml::from_str(YAML).unwrap(),
        }
    }

    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// Every operation: the verb in capitals, and the path with its `{id}`.
    pub(crate) fn operations(&self) -> Vec<(String, String)> {
        let paths = self.document["paths"].as_object().unwrap();
        let verbs = ["get", "post", "put", "delete", "patch", "head", "options"];
        let of_path = |(path, item): (&String, &Value)| {
            let item = item.as_object().unwrap().clone();
            let path = path.clone();
            let verbs = item
                .into_iter()
                .filter(move |(key, _)| verbs.contains(&key.as_str()));
            verbs
                .map(move |(verb, _)| (verb.to_uppercase(), path.clone()))
                .collect::<Vec<_>>()
        };
        paths.iter().flat_map(of_path).collect()
    }

    /// The path of the document that this one, which may have a query, is an instance of.
    pub(crate) fn path_of(&self, path: &str) -> Option<String> {
        let bare = path.split('?').next().unwrap();
        let fits = |pattern: &str| {
            let (own, other): (Vec<_>, Vec<_>) =
                (pattern.split('/').collect(), bare.split('/').collect());
            own.len() == other.len()
                && own
                    .iter()
                    .zip(other)
                    .all(|(own, other)| *own == other || (*own == "{id}" && !other.is_empty()))
        };
        let paths = self.document["paths"].as_object().unwrap();
        let exact = paths.contains_key(bare).then(|| bare.to_owned());
        exact.or_else(|| paths.keys().find(|pattern| fits(pattern)).cloned())
    }

    /// Holds an answer against the operation of this verb and path. `Err` says what does not fit.
    pub(crate) fn check(
        &self,
        verb: &str,
        path: &str,
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<(), String> {
        let error = json!({"$ref": "#/components/schemas/Error"});
        let Some(pattern) = self.path_of(path) else {
            return self.fits(&error, body);
        };
        let key = if verb == "HEAD" {
            "get".to_owned()
        } else {
            verb.to_lowercase()
        };
        let operation = &self.document["paths"][&pattern][&key];
        if operation.is_null() {
            let known = matches!(status, 405 | 401 | 403 | 400 | 421);
            return if known {
                self.fits(&error, body)
            } else {
                Err(format!("{verb} {pattern} is not in the document"))
            };
        }
        let responses = &operation["responses"];
        let listed = &responses[status.to_string()];
        let response = self.resolved(if listed.is_null() {
            &responses["default"]
        } else {
            listed
        });
        if response.is_null() {
            return Err(format!("{verb} {pattern} has no status {status}"));
        }
        if listed.is_null() && status < 400 {
            return Err(format!("{verb} {pattern} does not list status {status}"));
        }
        if verb == "HEAD" {
            return Ok(());
        }
        let content_type = content_type.unwrap_or_default();
        let content = response["content"].as_object().cloned().unwrap_or_default();
        let Some(media) = content.get(content_type) else {
            let known: Vec<_> = content.keys().collect();
            return Err(format!(
                "{verb} {pattern} {status}: `{content_type}` is none of {known:?}"
            ));
        };
        match content_type {
            "application/json" => self.fits(&media["schema"], body),
            _ => Ok(()),
        }
        .map_err(|error| format!("{verb} {pattern} {status}: {error}"))
    }

    /// Whether a JSON text fits a schema of the document by its name, such as `EventRow`.
    pub(crate) fn check_schema(&self, name: &str, body: &[u8]) -> Result<(), String> {
        let schema = json!({"$ref": format!("#/components/schemas/{name}")});
        self.fits(&schema, body)
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(at) => self.document.pointer(at.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    fn fits(&self, schema: &Value, body: &[u8]) -> Result<(), String> {
        let instance: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "components": self.document["components"],
        });
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&whole)
            .map_err(|error| format!("the schema is broken: {error}"))?;
        let wrong: Vec<String> = validator
            .iter_errors(&instance)
            .map(|error| format!("{} at `{}`", error, error.instance_path()))
            .collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(format!("{}\nin {instance}", wrong.join("\n")))
        }
    }
}
