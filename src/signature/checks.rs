//! The ways in which the senders of one source may prove themselves: one, or several for a migration.
//!
//! Promise: with one way this is [`verify()`](super::verify()) and costs nothing besides. With several,
//! either any of them is enough or all are needed. Not here: addresses (see the door).

use std::fmt::Write as _;

use http::{HeaderName, Method, Uri};
use jiff::Timestamp;

use super::verify::verify_by;
use super::{Inbound, Key, Scheme, Verdict, VerifyError};
use crate::secret::SecretName;

/// How many of the ways must prove a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Any one.
    Any,
    /// All of them; the first says what the event's id and type are.
    All,
}

/// A scheme with its secrets.
#[derive(Debug, Clone)]
pub struct Way {
    /// How senders sign.
    pub scheme: Scheme,
    /// The preset that the scheme is of, or `custom`.
    pub name: String,
    /// Decoded secrets, newest first; all are accepted.
    pub keys: Vec<Key>,
    /// What challenges carry that have a token; the secrets, where there are none.
    pub tokens: Vec<Key>,
    /// Where the secrets come from, in their order.
    pub secrets: Vec<SecretName>,
}

/// The ways of a source.
#[derive(Debug, Clone)]
pub struct Checks {
    rule: Rule,
    first: Way,
    others: Vec<Way>,
}

impl Way {
    /// A way by these keys, which are its tokens as well.
    #[must_use]
    pub fn new(scheme: Scheme, name: impl Into<String>, keys: Vec<Key>) -> Self {
        Self {
            scheme,
            name: name.into(),
            keys,
            tokens: Vec::new(),
            secrets: Vec::new(),
        }
    }

    fn verify(&self, request: &Inbound<'_>, now: Timestamp) -> Result<Verdict, VerifyError> {
        let tokens = match self.tokens.as_slice() {
            [] => &self.keys,
            tokens => tokens,
        };
        verify_by(&self.scheme, &self.keys, tokens, request, now)
    }
}

impl Checks {
    /// One way.
    #[must_use]
    pub fn one(way: Way) -> Self {
        Self::several(Rule::Any, way, Vec::new())
    }

    /// Several ways, in the order in which they are tried.
    #[must_use]
    pub fn several(rule: Rule, first: Way, others: Vec<Way>) -> Self {
        Self {
            rule,
            first,
            others,
        }
    }

    /// The first way, or the only one; senders that are played sign by it.
    #[must_use]
    pub fn first(&self) -> &Way {
        &self.first
    }

    /// All ways.
    pub fn ways(&self) -> impl Iterator<Item = &Way> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The way at this position.
    #[must_use]
    pub fn way(&self, at: usize) -> Option<&Way> {
        self.ways().nth(at)
    }

    /// What it is called: the name of the only way, or `any of a, b`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.others.is_empty() {
            return self.first.name.clone();
        }
        let rule = match self.rule {
            Rule::Any => "any",
            Rule::All => "all",
        };
        let mut name = format!("{rule} of {}", self.first.name);
        for way in &self.others {
            // writing to a text does not fail
            let _ = write!(name, ", {}", way.name);
        }
        name
    }

    /// Proves a request, or says why not.
    ///
    /// # Errors
    /// With several ways of which any counts, the error of the one that came furthest, else that of the first.
    pub fn verify(&self, request: &Inbound<'_>, now: Timestamp) -> Result<Verdict, VerifyError> {
        let first = self.first.verify(request, now);
        if self.others.is_empty() {
            return first;
        }
        match self.rule {
            Rule::Any => self.any(first, request, now),
            Rule::All => self.all(first, request, now),
        }
    }

    /// A request that only looks like a challenge that one way leaves unproven is another way's event.
    fn any(
        &self,
        first: Result<Verdict, VerifyError>,
        request: &Inbound<'_>,
        now: Timestamp,
    ) -> Result<Verdict, VerifyError> {
        let mut unproven = None;
        let mut furthest: Option<VerifyError> = None;
        let others = self.others.iter().map(|way| way.verify(request, now));
        for (at, verdict) in std::iter::once(first).chain(others).enumerate() {
            match verdict {
                Ok(Verdict::Event(mut event)) => {
                    event.way = at;
                    return Ok(Verdict::Event(event));
                }
                Ok(Verdict::Reply(reply)) if reply.proven => return Ok(Verdict::Reply(reply)),
                Ok(Verdict::Reply(reply)) => unproven = unproven.or(Some(reply)),
                Err(error) => {
                    let further = |known: &VerifyError| how_far(&error) > how_far(known);
                    if furthest.as_ref().is_none_or(further) {
                        furthest = Some(error);
                    }
                }
            }
        }
        match (unproven, furthest) {
            (Some(reply), _) => Ok(Verdict::Reply(reply)),
            (None, Some(error)) => Err(error),
            // there is at least one way, which said something
            (None, None) => Err(VerifyError::MissingSignature),
        }
    }

    /// A challenge that is good for one way is answered, since no way makes an event of it.
    fn all(
        &self,
        first: Result<Verdict, VerifyError>,
        request: &Inbound<'_>,
        now: Timestamp,
    ) -> Result<Verdict, VerifyError> {
        if matches!(first, Ok(Verdict::Reply(_))) {
            return first;
        }
        let mut whole = first;
        for way in &self.others {
            match way.verify(request, now) {
                Ok(Verdict::Event(_)) => {}
                Ok(reply) => return Ok(reply),
                Err(error) if whole.is_ok() => whole = Err(error),
                Err(_) => {}
            }
        }
        whole
    }

    /// Where the certificate is that a request says it is signed by, for the first way that asks for one.
    #[must_use]
    pub fn certificate_url(&self, request: &Inbound<'_>) -> Option<Uri> {
        self.ways()
            .find_map(|way| way.scheme.certificate_url(request))
    }

    /// Whether requests of this method can be anything at all: POST always, others if a handshake uses them.
    #[must_use]
    pub fn takes(&self, method: &Method) -> bool {
        self.ways().any(|way| way.scheme.takes(method))
    }

    /// Whether a way reads this header as a credential, so that it is dropped from events.
    #[must_use]
    pub fn is_credential(&self, header: &HeaderName) -> bool {
        self.ways().any(|way| way.scheme.is_credential(header))
    }

    /// Whether the signature of every event covers its message id.
    #[must_use]
    pub fn covers_message_id(&self) -> bool {
        match self.rule {
            Rule::Any => self.ways().all(|way| way.scheme.covers_message_id()),
            Rule::All => self.first.scheme.covers_message_id(),
        }
    }

    /// Whether a way needs the source's public URL.
    #[must_use]
    pub fn needs_url(&self) -> bool {
        self.ways().any(|way| way.scheme.needs_url())
    }
}

/// How far a way came until it failed: the others found no signature of their own to begin with.
fn how_far(error: &VerifyError) -> u8 {
    match error {
        VerifyError::MissingSignature | VerifyError::NoSignature | VerifyError::NoChallenge => 0,
        // the signature was good
        VerifyError::TimestampOutOfTolerance { .. } => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Outbound, SchemeRecord, sign};
    use super::*;
    use crate::secret::Secret;
    use bytes::Bytes;
    use http::HeaderMap;

    const NOW: i64 = 1_767_607_200;

    fn way(name: &str, record: &str, secret: &str) -> Way {
        let record: SchemeRecord = serde_yaml::from_str(record).unwrap();
        let scheme = Scheme::compile(&record).unwrap();
        let key = scheme.verifying_key(&Secret::new(secret)).unwrap();
        Way::new(scheme, name, vec![key])
    }

    fn old() -> Way {
        way("old", "{signature: {header: old}}", "old-secret")
    }

    fn new() -> Way {
        let record = "{content: '{id}.{timestamp}.{body}', signature: {header: new}, id: {header: i}, timestamp: {header: t}, type: {json: /type}, \
            handshake: [{when: {method: GET, query: {c: '*'}}, open: true, reply: {text: '{query:c}'}}, \
            {when: {json: {/probe: 1}}, reply: {}}]}";
        way("new", record, "new-secret")
    }

    fn signed(by: &[(Way, &str)], body: &str, at: i64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (way, secret) in by {
            let key = way.scheme.signing_key(&Secret::new(*secret)).unwrap();
            let request = Outbound {
                id: "m1",
                timestamp: Timestamp::from_second(at).unwrap(),
                method: &Method::POST,
                url: "",
                event_type: "",
                body: body.as_bytes(),
            };
            headers.extend(sign(&way.scheme, &[key], &request).unwrap());
        }
        headers
    }

    fn said(checks: &Checks, headers: &HeaderMap, body: &str) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let request = Inbound::post(headers, &body);
        match checks.verify(&request, Timestamp::from_second(NOW).unwrap()) {
            Ok(Verdict::Event(event)) => {
                let id = event.content().message_id.clone().unwrap_or_default();
                format!("way {} {id}", event.way())
            }
            Ok(Verdict::Reply(_)) => "reply".to_owned(),
            Err(error) => error.name().to_owned(),
        }
    }

    #[test]
    fn any_way_is_enough_and_all_are_needed() {
        let (good, bad) = ("old-secret", "bad-secret");
        let none = signed(&[], "{}", NOW);
        let only_old = signed(&[(old(), good)], "{}", NOW);
        let only_new = signed(&[(new(), "new-secret")], "{}", NOW);
        let both = signed(&[(old(), good), (new(), "new-secret")], "{}", NOW);
        let bad_old = signed(&[(old(), bad)], "{}", NOW);
        let bad_new = signed(&[(new(), bad)], "{}", NOW);
        let bad_both = signed(&[(old(), bad), (new(), "new-secret")], "{}", NOW);
        let stale = signed(&[(old(), bad), (new(), "new-secret")], "{}", NOW - 400);
        for (row, headers, any, all) in [
            ("none", &none, "missing_signature", "missing_signature"),
            ("old", &only_old, "way 0 ", "missing_signature"),
            ("new", &only_new, "way 1 m1", "missing_signature"),
            ("both", &both, "way 0 ", "way 0 "),
            (
                "bad old",
                &bad_old,
                "signature_mismatch",
                "signature_mismatch",
            ),
            // the one that came furthest, though it is not the first
            (
                "bad new",
                &bad_new,
                "signature_mismatch",
                "missing_signature",
            ),
            (
                "bad old, good new",
                &bad_both,
                "way 1 m1",
                "signature_mismatch",
            ),
            (
                "stale",
                &stale,
                "timestamp_out_of_tolerance",
                "signature_mismatch",
            ),
        ] {
            for (rule, wanted) in [(Rule::Any, any), (Rule::All, all)] {
                let checks = Checks::several(rule, old(), vec![new()]);
                assert_eq!(said(&checks, headers, "{}"), wanted, "{row} {rule:?}");
            }
        }
        let all = Checks::several(Rule::All, new(), vec![old()]);
        assert_eq!(said(&all, &both, "{}"), "way 0 m1");
    }

    #[test]
    fn a_challenge_that_is_good_for_one_way_is_answered() {
        let probe = signed(&[(new(), "new-secret")], r#"{"probe":1}"#, NOW);
        for rule in [Rule::Any, Rule::All] {
            let checks = Checks::several(rule, old(), vec![new()]);
            assert_eq!(said(&checks, &probe, r#"{"probe":1}"#), "reply");
            let (headers, body) = (HeaderMap::new(), Bytes::new());
            let request = Inbound {
                query: Some("c=1"),
                ..Inbound::new(&Method::GET, &headers, &body)
            };
            let got = checks.verify(&request, Timestamp::UNIX_EPOCH);
            assert!(matches!(got, Ok(Verdict::Reply(_))), "{rule:?} {got:?}");
        }
    }

    #[test]
    fn what_looks_like_an_unproven_challenge_of_one_way_is_an_event_of_another() {
        let record = "{signature: {header: open}, handshake: [{when: {json: {/probe: '*'}}, open: true, reply: {}}]}";
        let open = || way("open", record, "secret");
        let body = r#"{"probe":1}"#;
        let by_old = signed(&[(old(), "old-secret")], body, NOW);
        let checks = Checks::several(Rule::Any, open(), vec![old()]);
        assert_eq!(said(&checks, &by_old, body), "way 1 ");
        assert_eq!(said(&checks, &HeaderMap::new(), body), "reply");
        assert_eq!(said(&checks, &HeaderMap::new(), "{}"), "missing_signature");
    }

    #[test]
    fn what_the_ways_have_in_common() {
        let header = HeaderName::from_static("new");
        for (rule, first, others, covered, name) in [
            (Rule::Any, old(), vec![], false, "old"),
            (Rule::Any, new(), vec![], true, "new"),
            (Rule::Any, new(), vec![old()], false, "any of new, old"),
            (Rule::All, new(), vec![old()], true, "all of new, old"),
            (Rule::All, old(), vec![new()], false, "all of old, new"),
        ] {
            let checks = Checks::several(rule, first, others);
            assert_eq!(checks.name(), name);
            assert_eq!(checks.covers_message_id(), covered, "{name}");
            assert_eq!(
                checks.is_credential(&header),
                name.contains("new"),
                "{name}"
            );
            assert_eq!(checks.takes(&Method::GET), name.contains("new"), "{name}");
        }
    }

    #[test]
    fn why_a_request_fails_is_told_by_way() {
        let checks = Checks::several(Rule::Any, old(), vec![new()]);
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let words = checks.diagnose(&Inbound::post(&headers, &body), Timestamp::UNIX_EPOCH);
        assert!(
            words.iter().any(|line| line.starts_with("old: ")),
            "{words:?}"
        );
        assert!(
            words.iter().any(|line| line.starts_with("new: ")),
            "{words:?}"
        );
    }
}
