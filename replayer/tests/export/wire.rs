//! Protocol buffers, taken apart: fields by number, as the documentation of the wire format says.

use std::collections::BTreeMap;

/// A value of a field.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The values of each field, in order.
pub struct Message<'a>(BTreeMap<u64, Vec<Value<'a>>>);

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = bytes.split_first().expect("a number ends");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

impl<'a> Message<'a> {
    pub fn read(mut bytes: &'a [u8]) -> Message<'a> {
        let mut fields: BTreeMap<u64, Vec<Value<'a>>> = BTreeMap::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let value = match key & 7 {
                0 => Value::Number(varint(&mut bytes)),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)).unwrap();
                    let (value, rest) = bytes.split_at(length);
                    bytes = rest;
                    Value::Bytes(value)
                }
                kind => panic!("nobody writes values of kind {kind}"),
            };
            fields.entry(key >> 3).or_default().push(value);
        }
        Message(fields)
    }

    /// All values of a field.
    pub fn all(&self, field: u64) -> &[Value<'a>] {
        self.0.get(&field).map_or(&[], Vec::as_slice)
    }

    pub fn has(&self, field: u64) -> bool {
        self.0.contains_key(&field)
    }

    /// A number; 0 if it is not there.
    pub fn number(&self, field: u64) -> u64 {
        match self.all(field).last() {
            Some(Value::Number(number)) => *number,
            None => 0,
            Some(Value::Bytes(_)) => panic!("field {field} is no number"),
        }
    }

    /// Numbers, each a field or packed.
    pub fn numbers(&self, field: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        for value in self.all(field) {
            match *value {
                Value::Number(number) => numbers.push(number),
                Value::Bytes(mut packed) => {
                    while !packed.is_empty() {
                        numbers.push(varint(&mut packed));
                    }
                }
            }
        }
        numbers
    }

    pub fn bytes(&self, field: u64) -> Vec<&'a [u8]> {
        let bytes = |value: &Value<'a>| match value {
            Value::Bytes(bytes) => *bytes,
            Value::Number(_) => panic!("field {field} is a number"),
        };
        self.all(field).iter().map(bytes).collect()
    }

    pub fn text(&self, field: u64) -> &'a str {
        self.bytes(field).last().map_or("", |bytes| std::str::from_utf8(bytes).unwrap())
    }

    pub fn messages(&self, field: u64) -> Vec<Message<'a>> {
        self.bytes(field).into_iter().map(Message::read).collect()
    }
}
