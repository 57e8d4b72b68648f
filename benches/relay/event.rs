//! What is sent: bodies of 1.5 KB with a number in them, signed as Standard Webhooks are, as whole requests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

/// Bytes of every body.
pub const BODY_BYTES: usize = 1536;

/// Where the source listens.
pub const PATH: &str = "/in/bench";

/// The secret of the source and of the targets.
pub const SECRET: &str = "whsec_aW5nYXRlLWluZ2F0ZS1pbmdhdGUtaW5nYXRlLTMyYg==";

/// Stands before the number in bodies and in what the template prints.
const MARK: &[u8] = b"\"seq\"";

/// Requests that are signed and stand ready, one behind the other.
pub struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    /// Requests number `first` up to `first + count`, signed now. A signature is good for 300 s.
    pub fn sign(first: usize, count: usize) -> Self {
        let key = STANDARD
            .decode(SECRET.trim_start_matches("whsec_"))
            .unwrap();
        let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        let now = Timestamp::now().as_second();
        let mut requests = Self {
            bytes: Vec::with_capacity(count * (BODY_BYTES + 320)),
            ends: Vec::with_capacity(count),
        };
        for seq in first..first + count {
            let body = body(seq);
            let id = format!("msg_{seq:012}");
            let mut mac = mac.clone();
            mac.update(format!("{id}.{now}.").as_bytes());
            mac.update(body.as_bytes());
            let signature = STANDARD.encode(mac.finalize().into_bytes());
            let head = format!(
                "POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
                 user-agent: bench/1\r\nwebhook-id: {id}\r\nwebhook-timestamp: {now}\r\n\
                 webhook-signature: v1,{signature}\r\ncontent-length: {BODY_BYTES}\r\n\r\n"
            );
            requests.bytes.extend_from_slice(head.as_bytes());
            requests.bytes.extend_from_slice(body.as_bytes());
            requests.ends.push(requests.bytes.len());
        }
        requests
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of one of them, head and body.
    pub fn get(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }
}

/// An order with the number in it, filled up to [`BODY_BYTES`].
pub fn body(seq: usize) -> String {
    use std::fmt::Write;

    let mut body = format!(
        r#"{{"type":"order.paid","seq":"{seq:010}","created":"2026-01-05T10:00:00Z","data":{{"id":"ord_{seq:010}","number":"2026-{seq:010}","currency":"eur","amount":{},"tax":304.5,"status":"paid","note":"  leave_at the_back door ","customer":{{"id":"cus_5f1c9e","name":"Jörg Söhne & Partner","email":"Billing@Acme.example","phone":"+49 221 555 0117","address":{{"street":"Domkloster 4","city":"Köln","zip":"50667","country":"de"}}}},"lines":["#,
        1000 + seq % 9000
    );
    for line in 0..8 {
        let comma = if line == 0 { "" } else { "," };
        write!(
            body,
            r#"{comma}{{"sku":"SKU-{line}-{:05}","name":"Bracket, galvanised","quantity":{},"price":{}}}"#,
            seq % 100_000,
            line + 1,
            1250 + line * 10
        )
        .unwrap();
    }
    body.push_str(r#"],"memo":""#);
    let end = "\"}}";
    let room = BODY_BYTES - body.len() - end.len();
    let words = "The carrier calls before it comes and leaves the parcel with a neighbour. ";
    body.extend(words.chars().cycle().take(room));
    body.push_str(end);
    body
}

/// The number in a body, as sent or as the template prints it.
pub fn seq_of(body: &[u8]) -> Option<usize> {
    let at = body.windows(MARK.len()).position(|w| w == MARK)?;
    let digits = body[at + MARK.len()..].iter();
    let digits = digits
        .skip_while(|byte| !byte.is_ascii_digit())
        .take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |seq, digit| seq * 10 + usize::from(digit - b'0')))
}
