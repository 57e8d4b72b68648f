//! As little HTTP/1.1 as both ends of the bench need: heads, `content-length`, bodies; no chunks.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Reads messages from a connection, one behind the other.
pub struct Reader {
    buffer: Vec<u8>,
    /// Where the message that was given last ends.
    end: usize,
}

/// A message: its first line, and its body.
pub struct Message<'r> {
    pub first: &'r [u8],
    pub body: &'r [u8],
}

impl Reader {
    pub fn new() -> Self {
        Self {
            buffer: Vec::with_capacity(16 * 1024),
            end: 0,
        }
    }

    /// The next message; `None` if the other side closed between two of them.
    pub async fn next(&mut self, stream: &mut TcpStream) -> io::Result<Option<Message<'_>>> {
        self.buffer.drain(..self.end);
        self.end = 0;
        let head = loop {
            if let Some(head) = head_end(&self.buffer) {
                break head;
            }
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        };
        let length = content_length(&self.buffer[..head])?;
        while self.buffer.len() < head + length {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.end = head + length;
        let line = self.buffer.iter().position(|byte| *byte == b'\r');
        Ok(Some(Message {
            first: &self.buffer[..line.unwrap_or(head)],
            body: &self.buffer[head..self.end],
        }))
    }
}

/// Where the body begins.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    Some(at + 4)
}

fn content_length(head: &[u8]) -> io::Result<usize> {
    const NAME: &[u8] = b"content-length:";
    let bad = |words| io::Error::new(io::ErrorKind::InvalidData, words);
    for line in head.split(|byte| *byte == b'\n') {
        if line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME) {
            let value = std::str::from_utf8(&line[NAME.len()..]).ok();
            let value = value.and_then(|value| value.trim().parse().ok());
            return value.ok_or_else(|| bad("a content-length that is no number"));
        }
    }
    Err(bad("no content-length"))
}
