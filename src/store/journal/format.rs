//! The bytes of a segment: its header and its records. Pure. All numbers are little-endian.
//!
//! A segment is one header and then records without gaps:
//!
//! ```text
//! header  magic 8 | format u32 | crc32c of these 12 | segment u64 | first sequence u64 | mark u32
//!         | previous segment u64 | where that one ends u64 | crc32c of all before
//! record  magic 4 | mark u32 | version u8 | kind u8 | sequence u64 | length u32 | crc32c of all before
//!         | payload | crc32c of the payload, continued from the header's
//! ```
//!
//! Zeros may stand behind the last record (see `spare`); a record does not begin with one.
//!
//!
//! * The first 16 bytes of a header stay as they are in every format, so that a newer one can be told
//!   from a damaged one.
//! * The mark is a random number, the same in all of a segment: bytes of a sender that look like a
//!   record are none, since no sender knows it.
//! * A header says where the segment before it ended, so what a failed write or sync has left behind
//!   that place is never taken for a record once its successor is on disk.
//! * Since format 2 the top bit of `kind` says that all of the segment before the record was on disk when it was
//!   written: it is the first of its group.
//!
//! Not here: which kinds exist, what a payload means.

use crc32c::{crc32c, crc32c_append};

/// The newest format that this version writes and reads.
pub(in crate::store) const FORMAT: u32 = 2;

/// The first format whose records tell where groups begin.
pub(super) const GROUPED: u32 = 2;

/// Set in the byte of a record's kind if all before it was on disk when it was written.
pub(super) const FIRST_OF_GROUP: u8 = 0x80;

/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER: usize = 56;

/// Bytes of a record's header.
pub(super) const RECORD_HEADER: usize = 26;

/// Bytes that a record takes beyond its payload.
pub(super) const RECORD_EXTRA: usize = RECORD_HEADER + CRC;

/// Most bytes of a payload, 64 MiB: a body (1 MiB unless configured) with its headers and deliveries
/// stays far below, and recovery holds one record in memory. A longer length in a header is damage.
pub const MAX_PAYLOAD: usize = 64 * 1024 * 1024;

/// How a record begins; also what is searched for behind damage.
pub(super) const RECORD_MAGIC: [u8; 4] = [0xC3, b'i', b'g', 0x9A];

const SEGMENT_MAGIC: [u8; 8] = *b"ingate\xC3\x9A";
const CRC: usize = 4;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub format: u32,
    pub segment: u64,
    /// The number that its first record has.
    pub first_sequence: u64,
    pub mark: u32,
    /// The segment before; 0 if it is the first.
    pub previous: u64,
    /// Where the valid bytes of the one before end.
    pub previous_end: u64,
}

/// What the first bytes of a segment are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SegmentStart {
    Header(SegmentHeader),
    /// It has this newer format.
    Newer(u32),
    Damaged,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER);
        bytes.extend_from_slice(&SEGMENT_MAGIC);
        bytes.extend_from_slice(&self.format.to_le_bytes());
        append_crc(&mut bytes);
        bytes.extend_from_slice(&self.segment.to_le_bytes());
        bytes.extend_from_slice(&self.first_sequence.to_le_bytes());
        bytes.extend_from_slice(&self.mark.to_le_bytes());
        bytes.extend_from_slice(&self.previous.to_le_bytes());
        bytes.extend_from_slice(&self.previous_end.to_le_bytes());
        append_crc(&mut bytes);
        bytes
    }
}

/// Reads the first bytes of a segment, of which there may be too few.
pub(super) fn decode_segment(bytes: &[u8]) -> SegmentStart {
    match format_of(bytes) {
        Some(format) if format > FORMAT => SegmentStart::Newer(format),
        Some(format) => {
            segment_header(bytes, format).map_or(SegmentStart::Damaged, SegmentStart::Header)
        }
        None => SegmentStart::Damaged,
    }
}

fn format_of(mut bytes: &[u8]) -> Option<u32> {
    let crc = crc32c(bytes.get(..SEGMENT_MAGIC.len() + 4)?);
    let magic: [u8; 8] = take(&mut bytes)?;
    let format = u32::from_le_bytes(take(&mut bytes)?);
    let stored = u32::from_le_bytes(take(&mut bytes)?);
    (magic == SEGMENT_MAGIC && crc == stored).then_some(format)
}

fn segment_header(bytes: &[u8], format: u32) -> Option<SegmentHeader> {
    let bytes = bytes.get(..SEGMENT_HEADER)?;
    let crc = crc32c(bytes.get(..SEGMENT_HEADER - CRC)?);
    let mut rest = bytes.get(SEGMENT_MAGIC.len() + 8..)?;
    let header = SegmentHeader {
        format,
        segment: u64::from_le_bytes(take(&mut rest)?),
        first_sequence: u64::from_le_bytes(take(&mut rest)?),
        mark: u32::from_le_bytes(take(&mut rest)?),
        previous: u64::from_le_bytes(take(&mut rest)?),
        previous_end: u64::from_le_bytes(take(&mut rest)?),
    };
    (u32::from_le_bytes(take(&mut rest)?) == crc).then_some(header)
}

/// A record's header. `kind` is a bare number here: it may be of a newer version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub mark: u32,
    pub version: u8,
    pub kind: u8,
    /// Whether all before it was on disk when it was written.
    pub first_of_group: bool,
    pub sequence: u64,
    /// Bytes of the payload.
    pub length: usize,
    crc: u32,
}

impl RecordHeader {
    /// Bytes that the whole record takes.
    pub(super) fn size(&self) -> usize {
        self.length + RECORD_EXTRA
    }

    /// Whether these bytes, payload and checksum, are what the header was written for.
    pub(super) fn matches(&self, payload_and_crc: &[u8]) -> bool {
        payload_and_crc
            .split_last_chunk()
            .is_some_and(|(payload, stored)| {
                payload.len() == self.length
                    && crc32c_append(self.crc, payload) == u32::from_le_bytes(*stored)
            })
    }
}

/// Appends a record to `buffer`. The payload is not longer than [`MAX_PAYLOAD`]; `kind` may hold [`FIRST_OF_GROUP`].
pub(super) fn encode_record(
    buffer: &mut Vec<u8>,
    mark: u32,
    version: u8,
    kind: u8,
    sequence: u64,
    payload: &[u8],
) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let begin = buffer.len();
    buffer.reserve(payload.len() + RECORD_EXTRA);
    buffer.extend_from_slice(&RECORD_MAGIC);
    buffer.extend_from_slice(&mark.to_le_bytes());
    buffer.extend_from_slice(&[version, kind]);
    buffer.extend_from_slice(&sequence.to_le_bytes());
    buffer.extend_from_slice(&length.to_le_bytes());
    let crc = crc32c(buffer.get(begin..).unwrap_or_default());
    buffer.extend_from_slice(&crc.to_le_bytes());
    buffer.extend_from_slice(payload);
    buffer.extend_from_slice(&crc32c_append(crc, payload).to_le_bytes());
}

/// Reads a record's header at the start of `bytes`; `None` if there is no valid one.
pub(super) fn decode_record(bytes: &[u8]) -> Option<RecordHeader> {
    let computed = crc32c(bytes.get(..RECORD_HEADER - CRC)?);
    let mut rest = bytes;
    let magic: [u8; 4] = take(&mut rest)?;
    let mark = u32::from_le_bytes(take(&mut rest)?);
    let [version, kind] = take(&mut rest)?;
    let sequence = u64::from_le_bytes(take(&mut rest)?);
    let length = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
    let crc = u32::from_le_bytes(take(&mut rest)?);
    let valid = magic == RECORD_MAGIC && crc == computed && length <= MAX_PAYLOAD;
    valid.then_some(RecordHeader {
        mark,
        version,
        kind: kind & !FIRST_OF_GROUP,
        first_of_group: kind & FIRST_OF_GROUP != 0,
        sequence,
        length,
        crc,
    })
}

fn append_crc(bytes: &mut Vec<u8>) {
    let crc = crc32c(bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        format: FORMAT,
        segment: 7,
        first_sequence: 100,
        mark: 0x0102_0304,
        previous: 6,
        previous_end: 4096,
    };

    #[test]
    fn a_segment_header_round_trips_and_any_flipped_bit_is_seen() {
        let bytes = HEADER.encode();
        assert_eq!(bytes.len(), SEGMENT_HEADER);
        assert_eq!(decode_segment(&bytes), SegmentStart::Header(HEADER));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_segment(&damaged), SegmentStart::Damaged, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(
                decode_segment(&bytes[..len]),
                SegmentStart::Damaged,
                "length {len}"
            );
        }
    }

    #[test]
    fn a_newer_format_is_told_from_a_damaged_one() {
        let mut bytes = SEGMENT_MAGIC.to_vec();
        bytes.extend_from_slice(&(FORMAT + 1).to_le_bytes());
        append_crc(&mut bytes);
        assert_eq!(decode_segment(&bytes), SegmentStart::Newer(FORMAT + 1));
    }

    #[test]
    fn a_record_round_trips_and_any_flipped_bit_is_seen() {
        let mut bytes = Vec::new();
        encode_record(&mut bytes, 9, 1, 2, 55, b"payload");
        assert_eq!(bytes.len(), 7 + RECORD_EXTRA);
        let header = decode_record(&bytes).unwrap();
        assert_eq!(
            (header.mark, header.version, header.kind, header.sequence),
            (9, 1, 2, 55)
        );
        assert_eq!(header.size(), bytes.len());
        assert!(!header.first_of_group);
        let mut first = Vec::new();
        encode_record(&mut first, 9, 1, 2 | FIRST_OF_GROUP, 55, b"payload");
        let first = decode_record(&first).unwrap();
        assert_eq!((first.kind, first.first_of_group), (2, true));
        assert!(header.matches(&bytes[RECORD_HEADER..]));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let valid = decode_record(&damaged)
                .is_some_and(|header| header.matches(&damaged[RECORD_HEADER..]));
            assert!(!valid, "bit {bit}");
        }
    }

    #[test]
    fn the_bytes_are_a_contract() {
        let mut bytes = Vec::new();
        encode_record(&mut bytes, 0x0102_0304, 1, 5, 258, b"ab");
        assert_eq!(
            hex::encode(&bytes[..22]),
            "c369679a040302010105020100000000000002000000"
        );
        assert_eq!(
            hex::encode(&HEADER.encode()[16..52]),
            "07000000000000006400000000000000040302010600000000000000001000000000000000"[..72]
        );
    }
}
