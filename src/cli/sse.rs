//! Server-sent events, as the HTML standard reads them (section 9.2.6), byte by byte as they come.

/// Most bytes of one event; those of the API are far smaller.
const EVENT_BYTES: usize = 1 << 20;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    /// The last id that the stream has said, here or before.
    pub(super) id: Option<String>,
    /// `message` unless it says what it is.
    pub(super) event: String,
    pub(super) data: String,
}

/// A stream's event is larger than anything that the API sends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {EVENT_BYTES} bytes")]
pub(super) struct TooLarge;

/// Reads a stream piece by piece.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Whether anything was read: only the first character may be a byte order mark.
    begun: bool,
    line: Vec<u8>,
    /// Whether the last byte was a CR, so that an LF belongs to it.
    after_cr: bool,
    id: Option<String>,
    event: String,
    data: String,
}

impl Reader {
    /// Takes the next bytes and gives back the events that end in them.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Vec<Sent>, TooLarge> {
        let mut sent = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => sent.extend(self.end_of_line()),
                byte => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > EVENT_BYTES {
                return Err(TooLarge);
            }
        }
        Ok(sent)
    }

    fn end_of_line(&mut self) -> Option<Sent> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let mut line = line.as_ref();
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return self.end_of_event();
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.event = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // a comment, the time to wait before the next connection, what is not known
            _ => {}
        }
        None
    }

    fn end_of_event(&mut self) -> Option<Sent> {
        let event = std::mem::take(&mut self.event);
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        Some(Sent {
            id: self.id.clone().filter(|id| !id.is_empty()),
            event: if event.is_empty() {
                "message".to_owned()
            } else {
                event
            },
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read, as `id event data`, when the text comes in pieces of this many bytes.
    fn read(text: &str, piece: usize) -> Vec<String> {
        let mut reader = Reader::default();
        let pieces = text.as_bytes().chunks(piece);
        let sent = pieces.flat_map(|piece| reader.read(piece).unwrap());
        sent.map(|sent| {
            format!(
                "{} {} {}",
                sent.id.unwrap_or_default(),
                sent.event,
                sent.data
            )
        })
        .collect()
    }

    #[test]
    fn streams() {
        for (text, wanted) in [
            (
                "event: attempt\nid: a-1\ndata: {\"n\":1}\n\n",
                vec!["a-1 attempt {\"n\":1}"],
            ),
            ("data: a\ndata:b\ndata\n\n", vec![" message a\nb\n"]),
            (
                ": a comment\n\n: another\n\ndata: x\n\n",
                vec![" message x"],
            ),
            (
                "id: 1\r\ndata: a\r\n\r\ndata: b\r\n\r\n",
                vec!["1 message a", "1 message b"],
            ),
            ("data: a\r\rdata: b\r\r", vec![" message a", " message b"]),
            (
                "\u{feff}data: a\n\ndata: \u{feff}b\n\n",
                vec![" message a", " message \u{feff}b"],
            ),
            ("event: lost\n\ndata: a\n\n", vec![" message a"]),
            (
                "id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nid\ndata: c\n\n",
                vec!["1 message a", "1 message b", " message c"],
            ),
            ("retry: 10\nnonsense\ndata:  two\n\n", vec![" message  two"]),
            ("data: é日\n\n", vec![" message é日"]),
            ("data: not ended\n", vec![]),
        ] {
            for piece in [1, 2, 3, 7, 1000] {
                assert_eq!(read(text, piece), wanted, "{text:?} by {piece}");
            }
        }
    }

    #[test]
    fn an_event_without_end_is_not_kept() {
        let mut reader = Reader::default();
        let piece = vec![b'x'; 1 << 16];
        let mut read = Ok(Vec::new());
        for _ in 0..20 {
            read = reader.read(&piece);
        }
        assert_eq!(read, Err(TooLarge));
    }
}
