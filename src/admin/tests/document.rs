//! The table of endpoints and their real answers, held against the document.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::super::routes::{ENDPOINTS, Verb};
use super::*;

/// Operations of the document that no endpoint answers yet. To be empty in the end.
const NOT_YET: &[(&str, &str)] = &[];

/// Operations whose answers lack fields of the document yet. To be empty in the end.
const LACKING: &[(&str, &str)] = &[];

/// Codes that the document has and nothing answers with yet. To be empty in the end.
const CODES_NOT_YET: &[&str] = &[];

pub(super) static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::load);

/// Holds the answer to this request against the document.
pub(super) fn hold(head: &str, got: &Got) {
    let mut words = head.split(' ');
    let (verb, path) = (words.next().unwrap(), words.next().unwrap());
    let bare = path.split('?').next().unwrap();
    let of_the_dashboard = bare == "/" || bare.starts_with("/assets/");
    if of_the_dashboard && got.status < 400 {
        return;
    }
    let pattern = CONTRACT.path_of(path).unwrap_or_default();
    if got.status < 400 && LACKING.contains(&(verb, pattern.as_str())) {
        return;
    }
    let body = got.body.as_bytes();
    let content_type = got.header("content-type");
    if verb == "HEAD" && body.is_empty() {
        return;
    }
    let held = CONTRACT.check(verb, path, got.status, content_type, body);
    assert_eq!(held, Ok(()), "{head}");
}

#[test]
fn the_table_of_endpoints_is_that_of_the_document() {
    let own: BTreeSet<(String, String)> = ENDPOINTS
        .iter()
        .map(|endpoint| {
            let verb = match endpoint.verb {
                Verb::Get => "GET",
                Verb::Post => "POST",
                Verb::Put => "PUT",
            };
            (verb.to_owned(), endpoint.path.to_owned())
        })
        .collect();
    assert_eq!(own.len(), ENDPOINTS.len(), "an endpoint stands there twice");
    let written: BTreeSet<(String, String)> = CONTRACT.operations().into_iter().collect();
    let pair = |(verb, path): &(&str, &str)| ((*verb).to_owned(), (*path).to_owned());
    let not_yet: BTreeSet<(String, String)> = NOT_YET.iter().map(pair).collect();
    let lacking: BTreeSet<(String, String)> = LACKING.iter().map(pair).collect();
    let missing: BTreeSet<_> = written.difference(&own).cloned().collect();
    assert_eq!(missing, not_yet, "what no endpoint answers");
    let unwritten: Vec<_> = own.difference(&written).collect();
    assert!(unwritten.is_empty(), "not in the document: {unwritten:?}");
    assert!(lacking.is_subset(&own));
}

#[test]
fn the_codes_are_those_of_the_document() {
    let own: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let listed = &CONTRACT.document()["components"]["schemas"]["ErrorCode"]["enum"];
    let listed = listed.as_array().unwrap().iter();
    let listed: BTreeSet<&str> = listed.map(|code| code.as_str().unwrap()).collect();
    let not_yet: BTreeSet<&str> = CODES_NOT_YET.iter().copied().collect();
    let missing: BTreeSet<&str> = listed.difference(&own).copied().collect();
    assert_eq!(missing, not_yet);
    let unlisted: Vec<_> = own.difference(&listed).collect();
    assert!(unlisted.is_empty(), "not in the document: {unlisted:?}");
}

#[test]
fn what_does_not_fit_is_told() {
    let (json, path) = (Some("application/json"), "/livez");
    let check =
        |verb, status, kind, body: &str| CONTRACT.check(verb, path, status, kind, body.as_bytes());
    assert_eq!(check("GET", 200, json, r#"{"live":true}"#), Ok(()));
    for (verb, status, kind, body) in [
        ("GET", 200, json, r#"{"live":false}"#),
        ("GET", 200, json, r#"{"live":true,"more":1}"#),
        ("GET", 200, json, "{}"),
        ("GET", 200, Some("text/plain"), r#"{"live":true}"#),
        ("GET", 201, json, r#"{"live":true}"#),
        (
            "GET",
            404,
            json,
            r#"{"error":{"code":"none","message":"x"}}"#,
        ),
        ("DELETE", 200, json, r#"{"live":true}"#),
    ] {
        assert!(
            check(verb, status, kind, body).is_err(),
            "{verb} {status} {body}"
        );
    }
}

#[tokio::test]
async fn the_document_is_served_as_json() {
    let door = open(None).await;
    let got = door.get("/api/v1/openapi.json").await;
    assert_eq!(got.status, 200);
    assert_eq!(&got.json(), CONTRACT.document());
    assert_eq!(got.json()["openapi"], "3.1.0");
}
