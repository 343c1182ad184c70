//! The wire format of protocol buffers: what two of the formats are written in.
//!
//! A message is a row of fields. A field is a key, which is its number and its kind, and a value: a number
//! in groups of seven bits, the lowest first, or a length and so many bytes. Text, messages in messages and
//! rows of numbers are all bytes. Nothing else is needed here
//! (<https://protobuf.dev/programming-guides/encoding/>).

/// Kinds of values.
const VARINT: u32 = 0;
const BYTES: u32 = 2;

/// A message, as far as it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// An empty one.
    pub(super) fn new() -> Message {
        Message::default()
    }

    /// All fields so far.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A number without a sign, or one with a sign that is not below 0.
    pub(super) fn number(&mut self, field: u32, value: u64) -> &mut Message {
        self.key(field, VARINT);
        self.varint(value);
        self
    }

    /// Text.
    pub(super) fn text(&mut self, field: u32, text: &str) -> &mut Message {
        self.bytes(field, text.as_bytes())
    }

    /// Bytes.
    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) -> &mut Message {
        self.key(field, BYTES);
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A message in this one.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Message)) -> &mut Message {
        let mut inner = Message::new();
        write(&mut inner);
        self.bytes(field, &inner.bytes)
    }

    /// A row of numbers.
    pub(super) fn packed(&mut self, field: u32, numbers: impl IntoIterator<Item = u64>) -> &mut Message {
        self.message(field, |inner| numbers.into_iter().for_each(|number| inner.varint(number)))
    }

    fn key(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.bytes.push(value.to_le_bytes()[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_documentation_are_written_as_it_says() {
        let mut message = Message::new();
        assert_eq!(message.number(1, 150).as_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(
            Message::new().text(2, "testing").as_bytes(),
            [0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g']
        );
        let mut outer = Message::new();
        outer.message(3, |inner| {
            inner.number(1, 150);
        });
        assert_eq!(outer.as_bytes(), [0x1a, 3, 0x08, 0x96, 0x01]);
        let row = [0x32, 6, 3, 0x8e, 2, 0x9e, 0xa7, 5];
        assert_eq!(Message::new().packed(6, [3, 270, 86942]).as_bytes(), row);
        assert_eq!(Message::new().number(1, u64::MAX).as_bytes().len(), 11);
    }
}
