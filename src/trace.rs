//! Trace context as the W3C has it: `traceparent` and `tracestate`, read and written. Pure.
//!
//! Promise: what is malformed, doubled, of version ff or has an id of zeros is as if it were not there; no id that is
//! written is zero. Not here: whom to trust (see `plan`), when a request is made (see `dispatch`).
//!
//! Source: W3C Trace Context level 1 and the random flag of level 2, read on 2026-11-21.

use std::fmt;

/// The header of the trace and the caller's part in it.
pub const PARENT_HEADER: &str = "traceparent";

/// The header of what tracing systems add.
pub const STATE_HEADER: &str = "tracestate";

/// The caller records the trace.
const SAMPLED: u8 = 0x01;

/// The flags that have a meaning, which are passed on: sampled, and that the trace id is random. Others are to be zero.
const KNOWN_FLAGS: u8 = SAMPLED | 0x02;

/// Bytes of a `traceparent` of version 00.
const PARENT_BYTES: usize = 55;

/// Most bytes of a `tracestate` that is passed on; no system need pass on more.
const STATE_BYTES: usize = 512;

/// The last seven bytes of a trace id are random, in ours (a `UUIDv7`) as in those by the W3C's level 2; a share of all
/// traces is taken by them, as OpenTelemetry's samplers do it, so that every program takes the same ones.
const RANDOM_BITS: u32 = 56;

/// Most members of a `tracestate`.
const STATE_MEMBERS: usize = 32;

/// Most bytes of a member's key, and of its value.
const MEMBER_BYTES: usize = 256;

/// Headers of an event: names in lower case, in the order they came.
pub type Headers = [(String, String)];

/// The id of a trace: never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// The id of one step in a trace (a span): never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// Which traces are recorded: a share of them, told by the trace id alone, so that all who see a trace say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Random parts below this are not recorded.
    threshold: u64,
}

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: TraceId,
    /// The caller's part in it: never zero.
    parent: [u8; 8],
    flags: u8,
}

/// The trace that all requests of an event belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    trace: TraceId,
    flags: u8,
    state: Option<String>,
    /// The caller's part, where its trace is continued.
    caller: Option<SpanId>,
}

impl Parent {
    /// Reads a `traceparent`; `None` if it is not in order.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        let mut fields = text.splitn(5, '-');
        let version = bytes::<1>(fields.next()?)?;
        let trace = bytes(fields.next()?)?;
        let parent = bytes(fields.next()?)?;
        let [flags] = bytes::<1>(fields.next()?)?;
        let known = match version {
            [0] if text.len() == PARENT_BYTES => KNOWN_FLAGS,
            [0 | 0xff] => return None,
            // A later version may say more behind another dash, and other things by the other flags.
            _ => SAMPLED,
        };
        (trace != [0; 16] && parent != [0; 8]).then_some(Self {
            trace: TraceId(trace),
            parent,
            flags: flags & known,
        })
    }

    /// The one `traceparent` of these headers; `None` if there is none in order, or more than one of any kind.
    #[must_use]
    pub fn of(headers: &Headers) -> Option<Self> {
        let mut values = named(headers, PARENT_HEADER);
        let only = values.next()?;
        values.next().is_none().then(|| Self::parse(only))?
    }

    /// The caller's part in the trace.
    #[must_use]
    pub fn span(&self) -> SpanId {
        SpanId(self.parent)
    }
}

impl SpanId {
    /// The id of the request that brought an event: made of the event's `id`, so that it is known as long as the event is.
    #[must_use]
    pub fn of_event(id: &[u8; 16]) -> Self {
        let [.., a, b, c, d, e, f, g, h] = *id;
        Self::numbered(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// The id that is `number`, a random one.
    #[must_use]
    pub fn numbered(number: u64) -> Self {
        Self(number.max(1).to_be_bytes())
    }
}

impl Sampling {
    /// Records this share of all traces, from 0 to 1.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    pub fn share(share: f64) -> Self {
        let whole = (1_u64 << RANDOM_BITS) as f64;
        // Within 0..=2^56, which an f64 holds exactly.
        Self {
            threshold: ((1.0 - share.clamp(0.0, 1.0)) * whole) as u64,
        }
    }

    /// Whether this trace is recorded.
    #[must_use]
    pub fn takes(self, trace: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g] = trace.0;
        u64::from_be_bytes([0, a, b, c, d, e, f, g]) >= self.threshold
    }
}

impl Context {
    /// The context of an event: that of its own headers if its sender is `trusted`, else a new one, whose trace id is
    /// made of the event's `id`.
    #[must_use]
    pub fn of(id: &[u8; 16], headers: &Headers, trusted: bool) -> Self {
        match Parent::of(headers).filter(|_| trusted) {
            Some(parent) => Self {
                trace: parent.trace,
                flags: parent.flags,
                state: state(headers),
                caller: Some(parent.span()),
            },
            None => Self {
                trace: TraceId::derived(id),
                flags: SAMPLED,
                state: None,
                caller: None,
            },
        }
    }

    /// The trace.
    #[must_use]
    pub fn trace(&self) -> TraceId {
        self.trace
    }

    /// The same, recorded if `sampling` takes it. What a caller has decided for its own trace stays.
    #[must_use]
    pub fn sampled_by(mut self, sampling: Sampling) -> Self {
        if self.caller.is_none() {
            let taken = sampling.takes(self.trace);
            self.flags = if taken { SAMPLED } else { 0 };
        }
        self
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The caller's part in the trace, where that is continued.
    #[must_use]
    pub fn caller(&self) -> Option<SpanId> {
        self.caller
    }

    /// The `traceparent` of one request, in which `span` stands for it.
    #[must_use]
    pub fn parent(&self, span: SpanId) -> Parent {
        Parent {
            trace: self.trace,
            parent: span.0,
            flags: self.flags,
        }
    }

    /// The `tracestate` that is passed on.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl TraceId {
    fn derived(id: &[u8; 16]) -> Self {
        if *id == [0; 16] {
            // No event has this id, but no trace may have it.
            return Self([0xff; 16]);
        }
        Self(*id)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        write_hex(f, &self.trace.0)?;
        f.write_str("-")?;
        write_hex(f, &self.parent)?;
        f.write_str("-")?;
        write_hex(f, &[self.flags])
    }
}

/// Writes the bytes of an id as hexadecimal digits, of which it takes no memory: each request has two such ids.
fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let mut room = [0; 2 * size_of::<TraceId>()];
    let digits = room.get_mut(..2 * bytes.len()).ok_or(fmt::Error)?;
    hex::encode_to_slice(bytes, digits).map_err(|_| fmt::Error)?;
    f.write_str(std::str::from_utf8(digits).map_err(|_| fmt::Error)?)
}

/// What the `tracestate` headers say together, as far as it may be passed on: whole members from the left. `None` if
/// there is nothing in it, or something that does not belong there.
fn state(headers: &Headers) -> Option<String> {
    let mut members: Vec<(&str, &str)> = Vec::new();
    let all = named(headers, STATE_HEADER).flat_map(|value| value.split(','));
    for member in all.map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        if !(is_key(key) && is_value(value)) {
            return None;
        }
        // The first of a key is the newest; a second one says nothing.
        if members.iter().all(|(known, _)| *known != key) {
            members.push((key, value));
        }
    }
    if members.len() > STATE_MEMBERS {
        return None;
    }
    let mut state = String::new();
    for (key, value) in members {
        let comma = if state.is_empty() { "" } else { "," };
        let member = format!("{comma}{key}={value}");
        if state.len() + member.len() > STATE_BYTES {
            break;
        }
        state.push_str(&member);
    }
    (!state.is_empty()).then_some(state)
}

fn is_key(key: &str) -> bool {
    let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.bytes().next().is_some_and(small)
        && key.len() <= MEMBER_BYTES
        && key
            .bytes()
            .all(|byte| small(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@'))
}

fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= MEMBER_BYTES
        && value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'='))
}

fn named<'a>(headers: &'a Headers, wanted: &'static str) -> impl Iterator<Item = &'a str> {
    let mine = headers.iter().filter(move |(name, _)| name == wanted);
    mine.map(|(_, value)| value.as_str())
}

/// The bytes of a text of lower-case hex digits, exactly so many.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let small = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    (small && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "12345678901234567890123456789012";

    fn headers(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// The examples of the specification, and the cases of its conformance suite.
    #[test]
    fn parents_are_read() {
        for (text, written) in [
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            ),
            (
                " 00-12345678901234567890123456789012-1234567890123456-01\t",
                "00-12345678901234567890123456789012-1234567890123456-01",
            ),
            // flags without a meaning are not passed on
            (
                "00-12345678901234567890123456789012-1234567890123456-ff",
                "00-12345678901234567890123456789012-1234567890123456-03",
            ),
            (
                "cc-12345678901234567890123456789012-1234567890123456-01",
                "00-12345678901234567890123456789012-1234567890123456-01",
            ),
            (
                "cc-12345678901234567890123456789012-1234567890123456-ff-what-the-future-will-be-like",
                "00-12345678901234567890123456789012-1234567890123456-01",
            ),
        ] {
            let parent = Parent::parse(text).unwrap();
            assert_eq!(parent.to_string(), written, "{text}");
        }
        for text in [
            "",
            "00",
            "00-12345678901234567890123456789012-1234567890123456-01.",
            "00-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like",
            "00-12345678901234567890123456789012-1234567890123456-01-",
            "cc-12345678901234567890123456789012-1234567890123456-01.what-the-future-will-be-like",
            "ff-12345678901234567890123456789012-1234567890123456-01",
            ".0-12345678901234567890123456789012-1234567890123456-01",
            "0.-12345678901234567890123456789012-1234567890123456-01",
            "000-12345678901234567890123456789012-1234567890123456-01",
            "0000-12345678901234567890123456789012-1234567890123456-01",
            "0-12345678901234567890123456789012-1234567890123456-01",
            "00-00000000000000000000000000000000-1234567890123456-01",
            "00-.2345678901234567890123456789012-1234567890123456-01",
            "00-1234567890123456789012345678901.-1234567890123456-01",
            "00-123456789012345678901234567890123-1234567890123456-01",
            "00-1234567890123456789012345678901-1234567890123456-01",
            "00-12345678901234567890123456789012-0000000000000000-01",
            "00-12345678901234567890123456789012-.234567890123456-01",
            "00-12345678901234567890123456789012-123456789012345.-01",
            "00-12345678901234567890123456789012-12345678901234567-01",
            "00-12345678901234567890123456789012-123456789012345-01",
            "00-12345678901234567890123456789012-1234567890123456-.0",
            "00-12345678901234567890123456789012-1234567890123456-0.",
            "00-12345678901234567890123456789012-1234567890123456-001",
            "00-12345678901234567890123456789012-1234567890123456-1",
            "00-ABCDEF78901234567890123456789012-1234567890123456-01",
            "00-12345678901234567890123456789012-1234567890ABCDEF-01",
            "0A-12345678901234567890123456789012-1234567890123456-01",
            "00-é345678901234567890123456789012-1234567890123456-01",
            "00_12345678901234567890123456789012_1234567890123456_01",
        ] {
            assert_eq!(Parent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn states_are_passed_on_as_far_as_they_are_in_order() {
        let long = "v".repeat(256);
        let three = format!("a={long},b={long},c=1");
        let many: Vec<String> = (0..32).map(|n| format!("k{n}=1")).collect();
        let many = many.join(",");
        for (values, wanted) in [
            (vec!["foo=1"], Some("foo=1")),
            (vec!["foo=1,bar=2"], Some("foo=1,bar=2")),
            (vec!["foo=1", "bar=2"], Some("foo=1,bar=2")),
            (
                vec!["foo=1 \t , \t bar=2, \t baz=3"],
                Some("foo=1,bar=2,baz=3"),
            ),
            (vec!["foo=1", "", " , bar=2,"], Some("foo=1,bar=2")),
            (vec!["foo=1,foo=2"], Some("foo=1")),
            (
                vec!["t@vendor=a b", "1a-_*/=!~"],
                Some("t@vendor=a b,1a-_*/=!~"),
            ),
            (vec!["congo=t61rcWkgMzE"], Some("congo=t61rcWkgMzE")),
            (vec![&*three], Some(&three[..three.len() - 4 - 258 - 1])),
            (vec![&*many], Some(&*many)),
            (vec![&*many, "one=more"], None),
            (vec![], None),
            (vec![""], None),
            (vec!["foo"], None),
            (vec!["foo="], None),
            (vec!["=1"], None),
            (vec!["foo =1"], None),
            (vec!["FOO=1"], None),
            (vec!["@foo=1"], None),
            (vec!["foo=1=2"], None),
            (vec!["foo=\u{7f}"], None),
            (vec!["foo=é"], None),
            (vec!["foo=1;bar=2"], None),
            (vec!["foo=1;bar"], Some("foo=1;bar")),
        ] {
            let values: Vec<(&str, &str)> = values.iter().map(|v| (STATE_HEADER, *v)).collect();
            assert_eq!(state(&headers(&values)).as_deref(), wanted, "{values:?}");
        }
        let long_key = format!("{}=1", "k".repeat(257));
        let long_value = format!("k={}", "v".repeat(257));
        for value in [long_key, long_value] {
            assert_eq!(state(&headers(&[(STATE_HEADER, &value)])), None);
        }
    }

    #[test]
    fn a_trace_is_continued_only_where_its_sender_is_trusted() {
        let id = [7; 16];
        let own = hex::encode(id);
        let parent = format!("00-{TRACE}-1234567890123456-00");
        let good = headers(&[(PARENT_HEADER, &parent), (STATE_HEADER, "foo=1")]);
        let doubled = headers(&[(PARENT_HEADER, &parent), (PARENT_HEADER, &parent)]);
        let one_bad = headers(&[(PARENT_HEADER, &parent), (PARENT_HEADER, "x")]);
        let bad = headers(&[(PARENT_HEADER, "00-1-1-01"), (STATE_HEADER, "foo=1")]);
        let bad_state = headers(&[(PARENT_HEADER, &parent), (STATE_HEADER, "foo")]);
        let misnamed = headers(&[("trace-parent", &parent)]);
        for (headers, trusted, trace, flags, state) in [
            (&good, true, TRACE, "00", Some("foo=1")),
            (&good, false, &own, "01", None),
            (&bad_state, true, TRACE, "00", None),
            (&doubled, true, &own, "01", None),
            (&one_bad, true, &own, "01", None),
            (&bad, true, &own, "01", None),
            (&misnamed, true, &own, "01", None),
            (&vec![], true, &own, "01", None),
        ] {
            let context = Context::of(&id, headers, trusted);
            assert_eq!(context.trace().to_string(), trace, "{headers:?}");
            assert_eq!(context.state(), state, "{headers:?}");
            let sent = context.parent(SpanId::numbered(0xabc)).to_string();
            assert_eq!(sent, format!("00-{trace}-0000000000000abc-{flags}"));
        }
    }

    #[test]
    fn no_id_is_zero() {
        let context = Context::of(&[0; 16], &[], false);
        let parent = context.parent(SpanId::numbered(0));
        assert_eq!(Parent::parse(&parent.to_string()), Some(parent));
    }

    #[test]
    fn a_share_of_traces_is_told_by_their_random_bytes() {
        let mut low = [0xff; 16];
        low[9..].fill(0);
        let mut middle = low;
        middle[9] = 0x80;
        for (share, id, taken) in [
            (0.0, [0xff; 16], false),
            (0.0, middle, false),
            (0.5, low, false),
            (0.5, middle, true),
            (0.49, middle, false),
            (1.0, low, true),
            (7.0, low, true),
        ] {
            let sampling = Sampling::share(share);
            assert_eq!(sampling.takes(TraceId(id)), taken, "{share} {id:x?}");
            let own = Context::of(&id, &[], false).sampled_by(sampling);
            assert_eq!(own.is_sampled(), taken, "{share} {id:x?}");
        }
    }

    #[test]
    fn what_a_trusted_caller_has_decided_stays() {
        for (flags, sampled) in [("00", false), ("01", true)] {
            let parent = format!("00-{TRACE}-1234567890123456-{flags}");
            let sent = headers(&[(PARENT_HEADER, &parent)]);
            let context = Context::of(&[7; 16], &sent, true);
            assert_eq!(context.caller().unwrap().to_string(), "1234567890123456");
            for share in [0.0, 1.0] {
                let context = context.clone().sampled_by(Sampling::share(share));
                assert_eq!(context.is_sampled(), sampled);
            }
            assert_eq!(Context::of(&[7; 16], &sent, false).caller(), None);
        }
    }

    #[test]
    fn the_request_of_an_event_has_an_id_for_ever() {
        let mut id = [7; 16];
        id[8..].copy_from_slice(&[0x80, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(SpanId::of_event(&id).to_string(), "8001020304050607");
        assert_eq!(SpanId::of_event(&[0; 16]).to_string(), "0000000000000001");
    }
}
