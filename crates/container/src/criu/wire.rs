//! The little of protobuf's encoding that criu's messages need (protobuf.dev, "Encoding"): numbers as
//! varints, and texts and messages as bytes with their length. Written here because a generated codec
//! with its reflection tables would be larger than the rest of the runtime.

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<u8>);

/// The value of a field that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A number, a truth value or an enumeration's.
    Number(u64),
    /// A text or a message.
    Bytes(&'a [u8]),
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

impl Message {
    /// An unsigned number or an enumeration's.
    pub(crate) fn number(&mut self, field: u32, value: u32) -> &mut Self {
        self.tag(field, VARINT);
        self.varint(value.into())
    }

    /// A signed number: a negative one takes all ten bytes.
    pub(crate) fn signed(&mut self, field: u32, value: i32) -> &mut Self {
        self.tag(field, VARINT);
        self.varint(i64::from(value) as u64)
    }

    /// A truth value.
    pub(crate) fn flag(&mut self, field: u32, value: bool) -> &mut Self {
        self.number(field, value.into())
    }

    /// A text, which for criu's paths need not be UTF-8.
    pub(crate) fn text(&mut self, field: u32, value: impl AsRef<[u8]>) -> &mut Self {
        let value = value.as_ref();
        self.tag(field, BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// A message inside this one.
    pub(crate) fn message(&mut self, field: u32, value: &Message) -> &mut Self {
        self.text(field, &value.0)
    }

    /// The encoded bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    fn varint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }
}

/// The fields of an encoded message in their order; None when it is cut off or malformed. Fields of
/// fixed width are skipped: criu's answers have none.
pub(crate) fn fields(mut bytes: &[u8]) -> Option<Vec<(u32, Value<'_>)>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = u32::try_from(take_varint(&mut bytes)?).ok()?;
        let value = match tag & 7 {
            VARINT => Value::Number(take_varint(&mut bytes)?),
            BYTES => {
                let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
                Value::Bytes(take(&mut bytes, length)?)
            }
            FIXED64 => {
                take(&mut bytes, 8)?;
                continue;
            }
            FIXED32 => {
                take(&mut bytes, 4)?;
                continue;
            }
            _ => return None,
        };
        found.push((tag >> 3, value));
    }
    Some(found)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_the_specification_shows() {
        let mut message = Message::default();
        message.number(1, 150).text(2, "testing").signed(3, -2);
        let expected = b"\x08\x96\x01\x12\x07testing\x18\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(message.bytes(), expected);
        let mut outer = Message::default();
        outer.message(3, Message::default().number(1, 150));
        assert_eq!(outer.bytes(), b"\x1a\x03\x08\x96\x01");
    }

    #[test]
    fn reads_what_it_wrote() {
        let mut message = Message::default();
        message.flag(1, true).signed(52, -1).text(9, "wrong");
        let expected =
            [(1, Value::Number(1)), (52, Value::Number(u64::MAX)), (9, Value::Bytes(b"wrong"))];
        assert_eq!(fields(message.bytes()).unwrap(), expected);
    }

    #[test]
    fn refuses_what_is_cut_off_or_malformed() {
        for bytes in [&b"\x08"[..], b"\x08\x80", b"\x12\x05ab", b"\x0b", &[0xff; 11], b"\x09abc"] {
            assert_eq!(fields(bytes), None, "{bytes:?}");
        }
        assert_eq!(fields(b"\x0d\0\0\0\0\x08\x01").unwrap(), [(1, Value::Number(1))]);
    }
}
