//! Values of D-Bus and their form on the wire (D-Bus specification, "Marshaling"), little-endian.

/// A value with its type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Byte(u8),
    Bool(bool),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    Double(f64),
    Text(String),
    /// The elements' signature, and the elements.
    Array(String, Vec<Value>),
    Tuple(Vec<Value>),
    Variant(Box<Value>),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// An array of strings.
    pub(super) fn texts(texts: impl IntoIterator<Item = String>) -> Self {
        Self::Array("s".into(), texts.into_iter().map(Self::Text).collect())
    }

    /// An array of bytes.
    pub(super) fn bytes(bytes: Vec<u8>) -> Self {
        Self::Array("y".into(), bytes.into_iter().map(Self::Byte).collect())
    }

    /// A list of properties, `a(sv)`.
    pub(super) fn properties(properties: &[(String, Value)]) -> Self {
        let one = |(name, value): &(String, Value)| {
            Self::Tuple(vec![Self::text(name), Self::Variant(Box::new(value.clone()))])
        };
        Self::Array("(sv)".into(), properties.iter().map(one).collect())
    }

    pub(super) fn signature(&self) -> String {
        let letter = match self {
            Self::Byte(_) => "y",
            Self::Bool(_) => "b",
            Self::I16(_) => "n",
            Self::U16(_) => "q",
            Self::I32(_) => "i",
            Self::U32(_) => "u",
            Self::I64(_) => "x",
            Self::U64(_) => "t",
            Self::Double(_) => "d",
            Self::Text(_) => "s",
            Self::Variant(_) => "v",
            Self::Array(element, _) => return format!("a{element}"),
            Self::Tuple(values) => {
                return format!("({})", values.iter().map(Self::signature).collect::<String>());
            }
        };
        letter.into()
    }

    /// Appends the value; `out` begins where alignment counts from.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Byte(byte) => out.push(*byte),
            Self::Bool(value) => put_u32(out, u32::from(*value)),
            Self::I16(number) => put_aligned(out, 2, &number.to_le_bytes()),
            Self::U16(number) => put_aligned(out, 2, &number.to_le_bytes()),
            Self::I32(number) => put_aligned(out, 4, &number.to_le_bytes()),
            Self::U32(number) => put_u32(out, *number),
            Self::I64(number) => put_aligned(out, 8, &number.to_le_bytes()),
            Self::U64(number) => put_aligned(out, 8, &number.to_le_bytes()),
            Self::Double(number) => put_aligned(out, 8, &number.to_le_bytes()),
            Self::Text(text) => {
                put_u32(out, text.len() as u32);
                out.extend(text.as_bytes());
                out.push(0);
            }
            Self::Array(element, values) => put_array(out, element, values),
            Self::Tuple(values) => {
                pad(out, 8);
                values.iter().for_each(|value| value.put(out));
            }
            Self::Variant(value) => {
                put_signature(out, &value.signature());
                value.put(out);
            }
        }
    }
}

/// A signature: its length in one byte.
pub(super) fn put_signature(out: &mut Vec<u8>, signature: &str) {
    out.push(signature.len() as u8);
    out.extend(signature.as_bytes());
    out.push(0);
}

/// Zeros up to a multiple of `alignment`.
pub(super) fn pad(out: &mut Vec<u8>, alignment: usize) {
    out.resize(out.len().next_multiple_of(alignment), 0);
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    put_aligned(out, 4, &number.to_le_bytes());
}

fn put_aligned(out: &mut Vec<u8>, alignment: usize, bytes: &[u8]) {
    pad(out, alignment);
    out.extend(bytes);
}

/// The length does not count the padding before the first element.
fn put_array(out: &mut Vec<u8>, element: &str, values: &[Value]) {
    put_u32(out, 0);
    let length = out.len() - 4;
    pad(out, alignment(element));
    let start = out.len();
    values.iter().for_each(|value| value.put(out));
    let bytes = (out.len() - start) as u32;
    out[length..length + 4].copy_from_slice(&bytes.to_le_bytes());
}

fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        Some(b'n' | b'q') => 2,
        Some(b'y' | b'g' | b'v') => 1,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_have_the_wires_form() {
        let value = Value::properties(&[("A".into(), Value::Bool(true))]);
        assert_eq!(value.signature(), "a(sv)");
        let mut out = Vec::new();
        value.put(&mut out);
        let wanted = [
            16, 0, 0, 0, 0, 0, 0, 0, // 16 bytes of elements, which begin at a multiple of 8
            1, 0, 0, 0, b'A', 0, 1, b'b', 0, 0, 0, 0, 1, 0, 0, 0,
        ];
        assert_eq!(out, wanted);
    }
}
