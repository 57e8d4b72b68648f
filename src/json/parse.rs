//! From bytes to a document, strictly by RFC 8259.
//!
//! The text is known to be UTF-8 before anything is read, so whatever lies between two ASCII bytes is text. What stands in
//! an array or object that is open waits in `pending`; when it closes, all of it moves to the document in one piece.

use std::ops::Range;

use super::{Document, FEW_MEMBERS, MAX_DEPTH, Node, Tag, by_name};

/// Most bytes of a text: all of it must be reached with 32 bits; no body is that long.
const MAX_BYTES: usize = 1 << 30;

/// Bytes of text for one node, about: names and values of common bodies are longer.
const BYTES_A_NODE: usize = 8;

/// Most nodes that room is made for before they are there: a body that is large often is so for a few long strings.
const FIRST_NODES: usize = 1024;

/// Nodes that wait in common bodies.
const PENDING: usize = 64;

/// Why a text is not JSON. Positions are in bytes, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is longer than a gibibyte.
    #[error("the text is too long")]
    Long,
    /// It is not UTF-8 from here on.
    #[error("not UTF-8 at byte {0}")]
    Utf8(usize),
    /// It ends before its value does.
    #[error("the text ends too early")]
    End,
    /// Something else must stand here.
    #[error("not expected here: byte {0}")]
    Unexpected(usize),
    /// A control character in a string.
    #[error("a control character in a string at byte {0}")]
    Control(usize),
    /// What follows a backslash is no escape, or only half of a surrogate pair.
    #[error("not an escape at byte {0}")]
    Escape(usize),
    /// More than [`MAX_DEPTH`] arrays and objects within each other.
    #[error("more than {MAX_DEPTH} arrays and objects within each other at byte {0}")]
    Deep(usize),
}

pub(super) fn parse(json: &[u8]) -> Result<Document, JsonError> {
    if json.len() > MAX_BYTES {
        return Err(JsonError::Long);
    }
    let input = std::str::from_utf8(json).map_err(|error| JsonError::Utf8(error.valid_up_to()))?;
    let mut parser = Parser {
        input,
        at: 0,
        depth: 0,
        pending: Vec::with_capacity(PENDING),
        // Nothing says more than is written, but for one sign of an exponent: every other one has a comma behind it.
        text: String::with_capacity(input.len() + 1),
        nodes: Vec::with_capacity(FIRST_NODES.min(input.len() / BYTES_A_NODE)),
        sorted: Vec::new(),
    };
    let root = parser.value()?;
    match parser.past_space() {
        Some(_) => Err(JsonError::Unexpected(parser.at)),
        None => Ok(Document {
            text: parser.text,
            nodes: parser.nodes,
            sorted: parser.sorted,
            root,
        }),
    }
}

struct Parser<'a> {
    input: &'a str,
    at: usize,
    depth: usize,
    /// The nodes of what is open, the outermost first.
    pending: Vec<Node>,
    text: String,
    nodes: Vec<Node>,
    sorted: Vec<u32>,
}

impl Parser<'_> {
    fn value(&mut self) -> Result<Node, JsonError> {
        match self.past_space() {
            Some(b'"') => self.string(),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Tag::True),
            Some(b'f') => self.word("false", Tag::False),
            Some(b'n') => self.word("null", Tag::Null),
            _ => Err(self.unexpected(self.at)),
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.input.as_bytes().get(at).copied()
    }

    /// The first byte that is no white space, from here on; this is where we are then.
    fn past_space(&mut self) -> Option<u8> {
        loop {
            match self.byte(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    fn unexpected(&self, at: usize) -> JsonError {
        match at < self.input.len() {
            true => JsonError::Unexpected(at),
            false => JsonError::End,
        }
    }

    fn word(&mut self, word: &str, tag: Tag) -> Result<Node, JsonError> {
        let end = self.at + word.len();
        if self.input.as_bytes().get(self.at..end) != Some(word.as_bytes()) {
            return Err(self.unexpected(self.at));
        }
        self.at = end;
        Ok(node(tag, 0, 0))
    }

    /// What is between brackets, which recurses, one level deeper.
    fn nested(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<Node, JsonError>,
    ) -> Result<Node, JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(JsonError::Deep(self.at));
        }
        self.at += 1;
        self.depth += 1;
        let node = parse(self)?;
        self.depth -= 1;
        Ok(node)
    }

    /// Whether another item or member follows the one that was read; past the comma or the bracket.
    fn goes_on(&mut self, closing: u8) -> Result<bool, JsonError> {
        let next = self.past_space();
        if next != Some(b',') && next != Some(closing) {
            return Err(self.unexpected(self.at));
        }
        self.at += 1;
        Ok(next == Some(b','))
    }

    /// Whether nothing is between the brackets; past the second one if so.
    fn closes(&mut self, closing: u8) -> bool {
        let closes = self.past_space() == Some(closing);
        self.at += usize::from(closes);
        closes
    }

    fn array(&mut self) -> Result<Node, JsonError> {
        let first = self.pending.len();
        let mut goes_on = !self.closes(b']');
        while goes_on {
            let item = self.value()?;
            self.pending.push(item);
            goes_on = self.goes_on(b']')?;
        }
        let count = self.pending.len() - first;
        Ok(node(Tag::Array, self.settle(first), count))
    }

    fn object(&mut self) -> Result<Node, JsonError> {
        let first = self.pending.len();
        let mut goes_on = !self.closes(b'}');
        while goes_on {
            if self.past_space() != Some(b'"') {
                return Err(self.unexpected(self.at));
            }
            let name = self.string()?;
            if self.past_space() != Some(b':') {
                return Err(self.unexpected(self.at));
            }
            self.at += 1;
            let value = self.value()?;
            match self.among_few(first, &name) {
                Some(earlier) => *earlier = value,
                None => self.pending.extend([name, value]),
            }
            goes_on = self.goes_on(b'}')?;
        }
        let many = (self.pending.len() - first) / 2 > FEW_MEMBERS;
        let sorted = many.then(|| self.sort(first));
        let count = (self.pending.len() - first) / 2;
        self.pending
            .extend(sorted.map(|start| node(Tag::Sorted, start, count)));
        Ok(node(Tag::Object, self.settle(first), count))
    }

    /// Moves what waits from `first` on to the document; where it is then.
    fn settle(&mut self, first: usize) -> usize {
        let start = self.nodes.len();
        self.nodes
            .extend_from_slice(self.pending.get(first..).unwrap_or_default());
        self.pending.truncate(first);
        start
    }

    /// The value of the member of this name, while the members from `first` on are few.
    fn among_few(&mut self, first: usize, name: &Node) -> Option<&mut Node> {
        let waiting = self.pending.get_mut(first..)?;
        if waiting.len() > 2 * FEW_MEMBERS {
            return None;
        }
        let (pairs, _) = waiting.as_chunks_mut::<2>();
        let text = &self.text;
        let same = |known: &Node| known.len == name.len && known.of(text) == name.of(text);
        let found = pairs.iter_mut().find(|[known, _]| same(known))?;
        Some(&mut found[1])
    }

    /// Sorts the members from `first` on by their names, after all but one of each name are gone; where the positions are.
    fn sort(&mut self, first: usize) -> usize {
        let start = self.sorted.len();
        if !self.try_sort(first, start) {
            self.drop_doubles(first, start);
            self.sorted.truncate(start);
            self.try_sort(first, start);
        }
        start
    }

    /// Appends the positions of the members, sorted by name and then by position; whether all names differ.
    fn try_sort(&mut self, first: usize, start: usize) -> bool {
        let waiting = self.pending.get(first..).unwrap_or_default();
        let pairs = waiting.as_chunks::<2>().0;
        let text = &self.text;
        let name = |at: &u32| match pairs.get(*at as usize) {
            Some([name, _]) => name.of(text),
            None => "",
        };
        self.sorted
            .extend((0..).zip(pairs).map(|(at, _): (u32, _)| at));
        let sorted = self.sorted.get_mut(start..).unwrap_or_default();
        sorted.sort_unstable_by(|a, b| by_name(name(a), name(b)).then(a.cmp(b)));
        sorted.is_sorted_by(|a, b| name(a) != name(b))
    }

    /// Of members with the same name, which the sorted positions from `start` on show, keeps the first with the value of
    /// the last.
    fn drop_doubles(&mut self, first: usize, start: usize) {
        let sorted = self.sorted.get(start..).unwrap_or_default();
        let waiting = self.pending.get_mut(first..).unwrap_or_default();
        let pairs = waiting.as_chunks_mut::<2>().0;
        let text = &self.text;
        let mut kept = vec![false; pairs.len()];
        let same = |a: &u32, b: &u32| match (pairs.get(*a as usize), pairs.get(*b as usize)) {
            (Some([a, _]), Some([b, _])) => a.of(text) == b.of(text),
            _ => false,
        };
        let groups: Vec<&[u32]> = sorted.chunk_by(same).collect();
        for group in groups {
            let (Some(place), Some(last)) = (group.first(), group.last()) else {
                continue;
            };
            let value = pairs.get(*last as usize).map(|[_, value]| *value);
            let place = *place as usize;
            if let (Some(pair), Some(value)) = (pairs.get_mut(place), value) {
                pair[1] = value;
            }
            if let Some(kept) = kept.get_mut(place) {
                *kept = true;
            }
        }
        let mut left = first;
        for (at, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
            let from = first + 2 * at;
            self.pending.copy_within(from..from + 2, left);
            left += 2;
        }
        self.pending.truncate(left);
    }

    /// A string, from its first quote on.
    fn string(&mut self) -> Result<Node, JsonError> {
        let start = self.at + 1;
        let end = self.special(start);
        match self.byte(end) {
            Some(b'"') => {
                self.at = end + 1;
                let begin = self.text.len();
                self.say(start..end);
                Ok(self.told(Tag::String, begin))
            }
            Some(b'\\') => self.escaped(start, end),
            Some(_) => Err(JsonError::Control(end)),
            None => Err(JsonError::End),
        }
    }

    /// A string whose content starts at `from` and has its first backslash at `at`.
    fn escaped(&mut self, mut from: usize, mut at: usize) -> Result<Node, JsonError> {
        let begin = self.text.len();
        loop {
            self.say(from..at);
            match self.byte(at) {
                Some(b'"') => break,
                Some(b'\\') => {}
                Some(_) => return Err(JsonError::Control(at)),
                None => return Err(JsonError::End),
            }
            self.at = at + 1;
            let character = self.escape()?;
            self.text.push(character);
            from = self.at;
            at = self.special(from);
        }
        self.at = at + 1;
        Ok(self.told(Tag::String, begin))
    }

    /// Takes over what is written there.
    fn say(&mut self, range: Range<usize>) {
        self.text
            .push_str(self.input.get(range).unwrap_or_default());
    }

    /// The node of the text that begins there and ends here.
    fn told(&self, tag: Tag, begin: usize) -> Node {
        node(tag, begin, self.text.len() - begin)
    }

    /// What an escape means, from behind its backslash on.
    fn escape(&mut self) -> Result<char, JsonError> {
        let at = self.at;
        let Some(letter) = self.byte(at) else {
            return Err(JsonError::End);
        };
        self.at += 1;
        Ok(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut code = self.hex()?;
                if (0xd800..0xdc00).contains(&code) {
                    let low = self.low_surrogate().ok_or(JsonError::Escape(at))?;
                    code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                char::from_u32(code).ok_or(JsonError::Escape(at))?
            }
            _ => return Err(JsonError::Escape(at)),
        })
    }

    /// The second half of a pair, with its backslash.
    fn low_surrogate(&mut self) -> Option<u32> {
        if self.byte(self.at) != Some(b'\\') || self.byte(self.at + 1) != Some(b'u') {
            return None;
        }
        self.at += 2;
        let code = self.hex().ok()?;
        (0xdc00..0xe000).contains(&code).then_some(code)
    }

    /// Four hexadecimal digits.
    fn hex(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for at in self.at..self.at + 4 {
            let digit = self.byte(at).and_then(|b| char::from(b).to_digit(16));
            code = code * 16 + digit.ok_or(JsonError::Escape(at))?;
        }
        self.at += 4;
        Ok(code)
    }

    /// Where the next quote, backslash or control character is, from `at` on; the end if there is none.
    fn special(&self, mut at: usize) -> usize {
        let bytes = self.input.as_bytes();
        // Eight at a time: a byte's highest bit tells whether it is one of them. A carry can make a byte that follows the
        // first one look like one, never one before it.
        const ONES: u64 = u64::MAX / 255;
        while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let chunk = u64::from_le_bytes(*chunk);
            let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
            let quote = chunk ^ (ONES * u64::from(b'"'));
            let quote = quote.wrapping_sub(ONES) & !quote;
            let backslash = chunk ^ (ONES * u64::from(b'\\'));
            let backslash = backslash.wrapping_sub(ONES) & !backslash;
            let found = (control | quote | backslash) & (ONES << 7);
            if found != 0 {
                return at + found.trailing_zeros() as usize / 8;
            }
            at += 8;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let special = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
        at + rest.iter().position(special).unwrap_or(rest.len())
    }

    fn number(&mut self) -> Result<Node, JsonError> {
        let start = self.at;
        if self.byte(start) == Some(b'-') {
            self.at += 1;
        }
        match self.byte(self.at) {
            // No digit may follow; whoever comes next expects none.
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte(self.at) == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let begin = self.text.len();
        self.say(start..self.at);
        if let Some(b'e' | b'E') = self.byte(self.at) {
            self.at += 1;
            let signed = matches!(self.byte(self.at), Some(b'+' | b'-'));
            let exponent = self.at;
            self.at += usize::from(signed);
            self.digits()?;
            self.text.push_str(if signed { "e" } else { "e+" });
            self.say(exponent..self.at);
        }
        Ok(self.told(Tag::Number, begin))
    }

    /// Past one digit or more.
    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.byte(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        match self.at == start {
            true => Err(self.unexpected(start)),
            false => Ok(()),
        }
    }
}

/// Everything is within reach of 32 bits, see [`MAX_BYTES`].
fn node(tag: Tag, start: usize, len: usize) -> Node {
    let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Node {
        tag,
        start: short(start),
        len: short(len),
    }
}
