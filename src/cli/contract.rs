//! For tests: what commands send and read, held against the document of the operator's API.

use std::sync::LazyLock;

use serde_json::Value;

use crate::admin::contract::Contract;

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::load);

/// The value fits the schema of this name.
pub(super) fn holds(schema: &str, value: &Value) {
    let fits = CONTRACT.check_schema(schema, value.to_string().as_bytes());
    fits.unwrap_or_else(|wrong| panic!("{schema}: {wrong}"));
}

/// The words of a schema that is an enumeration.
pub(super) fn words(schema: &str) -> Vec<String> {
    let words = CONTRACT.document()["components"]["schemas"][schema]["enum"].as_array();
    let words = words.unwrap().iter();
    words
        .map(|word| word.as_str().unwrap().to_owned())
        .collect()
}

/// GET of this path takes every parameter that the query has.
pub(super) fn takes(path: &str, query: &str) {
    let parameters = CONTRACT.document()["paths"][path]["get"]["parameters"].as_array();
    let known: Vec<&str> = parameters
        .unwrap()
        .iter()
        .map(|parameter| match parameter["$ref"].as_str() {
            Some(place) => place.rsplit('/').next().unwrap(),
            None => parameter["name"].as_str().unwrap(),
        })
        .collect();
    let query = query.split_once('?').map_or("", |(_, query)| query);
    let mut given = form_urlencoded::parse(query.as_bytes()).peekable();
    assert!(given.peek().is_some(), "{query}");
    for (name, _) in given {
        assert!(known.contains(&name.as_ref()), "{path} takes no {name}");
    }
}

/// The document knows this operation.
pub(super) fn knows(verb: &str, path: &str) {
    assert!(
        CONTRACT.document()["paths"][path][verb].is_object(),
        "{verb} {path}"
    );
}
