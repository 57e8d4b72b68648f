//! The list of hostile inputs beside the project, entry by entry: which test meets it. Where the list is not there, the
//! tests hold all the same; this one then only says that their names are still right.

use std::collections::BTreeMap;
use std::path::Path;

/// Each entry's number, the module of the test that meets it, and the test's name.
const MET: [(&str, &str, &str); 54] = [
    (
        "N01",
        "hostile",
        "signatures_that_are_not_in_order_are_refused",
    ),
    (
        "N02",
        "hostile",
        "signatures_that_are_not_in_order_are_refused",
    ),
    (
        "N03",
        "hostile",
        "signatures_that_are_not_in_order_are_refused",
    ),
    (
        "N04",
        "hostile",
        "signatures_that_are_not_in_order_are_refused",
    ),
    (
        "N05",
        "hostile",
        "signatures_that_are_not_in_order_are_refused",
    ),
    (
        "N06",
        "hostile",
        "signatures_that_are_not_in_order_are_refused",
    ),
    ("N07", "hostile", "timestamps_are_read_strictly"),
    ("N08", "hostile", "timestamps_are_read_strictly"),
    ("N09", "hostile", "timestamps_are_read_strictly"),
    ("N10", "hostile", "timestamps_are_read_strictly"),
    ("N11", "hostile", "timestamps_are_read_strictly"),
    (
        "N12",
        "hostile",
        "signatures_that_are_not_in_order_are_refused",
    ),
    (
        "N13",
        "hostile",
        "lists_ids_and_encodings_are_read_strictly",
    ),
    (
        "N14",
        "hostile",
        "lists_ids_and_encodings_are_read_strictly",
    ),
    (
        "N15",
        "hostile",
        "lists_ids_and_encodings_are_read_strictly",
    ),
    (
        "N16",
        "hostile",
        "lists_ids_and_encodings_are_read_strictly",
    ),
    (
        "N17",
        "hostile",
        "lists_ids_and_encodings_are_read_strictly",
    ),
    (
        "N18",
        "hostile",
        "signatures_that_are_not_in_order_are_refused",
    ),
    ("N19", "hostile", "what_is_only_unusual_is_taken"),
    ("N20", "hostile", "a_secret_that_is_none_does_not_start"),
    (
        "N21",
        "hostile",
        "lists_ids_and_encodings_are_read_strictly",
    ),
    (
        "N22",
        "hostile",
        "lists_ids_and_encodings_are_read_strictly",
    ),
    (
        "N23",
        "hostile",
        "signatures_that_are_not_in_order_are_refused",
    ),
    (
        "N24",
        "hostile",
        "a_challenge_needs_a_signature_and_an_event_is_never_echoed",
    ),
    (
        "N25",
        "hostile",
        "a_challenge_needs_a_signature_and_an_event_is_never_echoed",
    ),
    ("N26", "answers", "a_handshake_by_get_needs_its_token"),
    ("N27", "answers", "a_handshake_by_get_needs_its_token"),
    (
        "N29",
        "hostile",
        "a_repetition_is_answered_and_not_delivered",
    ),
    (
        "N30",
        "hostile",
        "a_repetition_is_answered_and_not_delivered",
    ),
    ("N31", "hostile", "what_is_only_unusual_is_taken"),
    (
        "N32",
        "hostile",
        "a_repetition_is_answered_and_not_delivered",
    ),
    (
        "N33",
        "answers",
        "what_the_store_cannot_take_is_asked_for_again",
    ),
    ("N34", "answers", "every_row_of_the_table"),
    ("N35", "answers", "every_row_of_the_table"),
    ("N36", "answers", "what_breaks_off_or_is_ambiguous"),
    ("N37", "answers", "what_breaks_off_or_is_ambiguous"),
    (
        "N38",
        "answers",
        "a_compressed_body_is_verified_as_its_scheme_says",
    ),
    ("N39", "answers", "every_row_of_the_table"),
    ("N40", "hostile", "what_is_only_unusual_is_taken"),
    ("N41", "answers", "no_content_is_refused"),
    ("N42", "answers", "no_content_is_refused"),
    ("N43", "answers", "no_content_is_refused"),
    ("N44", "answers", "a_signed_address_is_the_configured_one"),
    ("N45", "answers", "a_signed_address_is_the_configured_one"),
    ("N46", "answers", "every_row_of_the_table"),
    ("N47", "answers", "every_row_of_the_table"),
    ("N48", "hostile", "what_is_only_unusual_is_taken"),
    (
        "N49",
        "hostile",
        "signatures_that_are_not_in_order_are_refused",
    ),
    (
        "N50",
        "hostile",
        "every_secret_counts_until_it_is_taken_away",
    ),
    ("N51", "reload", "secrets_are_rotated_while_events_flow"),
    (
        "N54",
        "hostile",
        "lists_ids_and_encodings_are_read_strictly",
    ),
    (
        "N55",
        "hostile",
        "the_log_and_the_metrics_hold_no_secret_and_no_signature",
    ),
    (
        "N28",
        "handovers",
        "a_secret_is_taken_while_it_is_waited_for",
    ),
    (
        "N52",
        "handovers",
        "messages_that_point_elsewhere_have_nobody_asked",
    ),
];

/// Entries about what no scheme here has: a signature that is a JSON web token.
const NOT_OURS: [&str; 1] = ["N53"];

#[test]
fn every_entry_is_met_by_a_test_that_is_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut met = BTreeMap::new();
    for (id, module, test) in MET {
        met.insert(id, test);
        if module.is_empty() {
            continue;
        }
        let text = std::fs::read_to_string(folder.join(format!("tests/it/{module}.rs"))).unwrap();
        assert!(
            text.contains(&format!("fn {test}(")),
            "{id}: {module}::{test}"
        );
    }
    let Ok(list) = std::fs::read(folder.join("../shared/bad-requests.json")) else {
        println!("the list is not there: ../shared/bad-requests.json");
        return;
    };
    let list: Vec<serde_json::Value> = serde_json::from_slice(&list).unwrap();
    assert_eq!(list.len(), MET.len() + NOT_OURS.len());
    for entry in list {
        let id = entry["id"].as_str().unwrap();
        assert!(met.contains_key(id) || NOT_OURS.contains(&id), "{entry}");
    }
}
