//! What must show nowhere, in every spelling that a log, an answer or a file could give it, and the search for it.

use std::collections::HashMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::support::{Message, Received};

/// Bytes of a needle by which it is looked up; what is shorter stands anywhere by chance.
const LEAST: usize = 8;

/// Things that are looked for, without regard to the case of letters.
#[derive(Default)]
pub struct Needles {
    /// By their first bytes: the whole, and what it is a spelling of.
    by_start: HashMap<[u8; LEAST], Vec<(Vec<u8>, String)>>,
    pub count: usize,
}

impl Needles {
    /// Some text, as it is and as a document would escape it.
    pub fn text(&mut self, what: &str, text: &str) {
        let json = serde_json::to_string(text).unwrap();
        let json = json.trim_matches('"').to_owned();
        let debug = format!("{text:?}").trim_matches('"').to_owned();
        let html = text.replace('&', "&amp;").replace('"', "&quot;");
        for spelling in [text.to_owned(), json, debug, html, percent(text)] {
            self.add(what, spelling.as_bytes());
        }
    }

    /// Some bytes: as they are, in hex, in each base64, and as a list of numbers.
    pub fn bytes(&mut self, what: &str, bytes: &[u8]) {
        self.add(what, bytes);
        self.add(what, hex::encode(bytes).as_bytes());
        for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            let text = engine.encode(bytes);
            self.add(what, text.as_bytes());
            self.add(what, percent(&text).as_bytes());
        }
        for between in [", ", ","] {
            let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
            self.add(what, numbers.join(between).as_bytes());
        }
    }

    /// A secret as it is configured, and the key that is written in it.
    pub fn secret(&mut self, what: &str, secret: &str) {
        self.text(what, secret);
        self.bytes(what, secret.as_bytes());
        let key = secret.split_once(['_', ' ']).map_or(secret, |(_, key)| key);
        self.text(what, key);
        for engine in [STANDARD, URL_SAFE] {
            if let Ok(bytes) = engine.decode(key) {
                self.bytes(what, &bytes);
            }
        }
    }

    /// A private key in PEM: its lines, all of its DER, and the number that alone is secret of an elliptic one.
    pub fn private_key(&mut self, what: &str, pem: &str) {
        let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
        for line in &lines {
            // The last line may be short.
            if line.len() >= LEAST {
                self.text(what, line);
            }
        }
        let der = STANDARD.decode(lines.concat()).unwrap();
        self.bytes(what, &der);
        let at = der.windows(2).position(|two| two == [4, 32]).unwrap();
        self.bytes(what, &der[at + 2..at + 34]);
    }

    /// The signatures in the value of a header, and the bytes that they are.
    pub fn signatures(&mut self, what: &str, value: &str) {
        let mut any = false;
        for word in value.split([' ', ',']) {
            // `v1=..`, `sha256=..`; of base64 only the end has this sign
            let bare = match word.split_once('=') {
                Some((key, rest)) if key.len() < 8 => rest,
                _ => word,
            };
            if bare.len() < 24 {
                continue;
            }
            any = true;
            self.text(what, bare);
            if let Ok(bytes) = hex::decode(bare) {
                self.bytes(what, &bytes);
            } else if let Ok(bytes) = STANDARD.decode(bare) {
                self.bytes(what, &bytes);
            }
        }
        assert!(any, "no signature in {value:?}");
    }

    /// The signatures of a message that is sent.
    pub fn message(&mut self, message: &Message) {
        for (name, value) in &message.headers {
            if is_signature(name) {
                self.signatures("what was sent to us", std::str::from_utf8(value).unwrap());
            }
        }
    }

    /// The signatures that a target got.
    pub fn received(&mut self, requests: &[Received]) {
        assert!(!requests.is_empty());
        for request in requests {
            let names = request.headers.keys().map(http::HeaderName::as_str);
            let names: Vec<&str> = names.filter(|name| is_signature(name)).collect();
            assert!(!names.is_empty(), "{request:?}");
            for name in names {
                self.signatures("what a target got", request.header(name));
            }
        }
    }

    fn add(&mut self, what: &str, needle: &[u8]) {
        let needle = needle.to_ascii_lowercase();
        let start = *needle
            .first_chunk()
            .unwrap_or_else(|| panic!("{what} is too short"));
        let same = self.by_start.entry(start).or_default();
        if !same.iter().any(|(known, _)| *known == needle) {
            same.push((needle, what.to_owned()));
            self.count += 1;
        }
    }

    /// Every needle must be found where it is planted.
    pub fn assert_that_each_can_be_found(&self) {
        for (needle, what) in self.by_start.values().flatten() {
            let upper = needle.to_ascii_uppercase();
            for planted in [needle, &upper] {
                let hay = [b"some hay \xff ", &planted[..], b" more hay"].concat();
                assert!(self.found_in(&hay).is_some(), "{what} is not found");
            }
        }
    }

    /// What stands in there, if anything does, and what stands around it.
    pub fn found_in(&self, hay: &[u8]) -> Option<String> {
        let hay = hay.to_ascii_lowercase();
        for (at, start) in hay.windows(LEAST).enumerate() {
            let Some(needles) = self.by_start.get(start) else {
                continue;
            };
            for (needle, what) in needles {
                if hay[at..].starts_with(needle) {
                    let around = &hay[at.saturating_sub(300)..hay.len().min(at + 200)];
                    return Some(format!("{what}: {}", String::from_utf8_lossy(around)));
                }
            }
        }
        None
    }
}

/// Whether a header of this name holds a signature.
pub fn is_signature(name: &str) -> bool {
    name.contains("signature") || name.contains("hmac") || name == "x-proof"
}

/// Every byte that is no letter or digit, as in a URL.
fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(byte.into());
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
        out
    })
}
