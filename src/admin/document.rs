//! The API's document (OpenAPI 3.1), which is written in YAML and served as JSON.

use std::sync::LazyLock;

use bytes::Bytes;

/// The document as it is written.
const YAML: &str = include_str!("openapi.yaml");

/// The document as JSON, made once. `None` if it cannot be, which a test rules out.
pub(super) fn json() -> Option<Bytes> {
    static JSON: LazyLock<Option<Bytes>> = LazyLock::new(|| {
        let document: serde_json::Value = serde_yaml::from_str(YAML).ok()?;
        serde_json::to_vec(&document).ok().map(Bytes::from)
    });
    JSON.clone()
}
