//! The protobuf wire format.

use super::{Result, error};

/// A field's raw value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Of 32 bits; no type of Kubernetes has one.
    Fixed32,
}

impl<'a> Raw<'a> {
    /// The bytes of a string or message.
    pub fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => error("proto: wrong wireType"),
        }
    }

    /// A string; what is not UTF-8 is replaced.
    pub fn text(self) -> Result<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    /// An integer.
    pub fn int(self) -> Result<i64> {
        match self {
            Self::Varint(n) => Ok(n as i64),
            _ => error("proto: wrong wireType"),
        }
    }
}

/// Reads a message field by field.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The fields of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next tag and value; `None` at the end.
    pub fn next(&mut self) -> Result<Option<(u32, Raw<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let tag = u32::try_from(key >> 3).unwrap_or(0);
        if tag == 0 {
            return error(format!("proto: illegal tag {} (wire type {})", key >> 3, key & 7));
        }
        let raw = match key & 7 {
            0 => Raw::Varint(self.varint()?),
            1 => Raw::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                Raw::Bytes(self.take(length)?)
            }
            5 => {
                self.array::<4>()?;
                Raw::Fixed32
            }
            wire_type => return error(format!("proto: illegal wireType {wire_type}")),
        };
        Ok(Some((tag, raw)))
    }

    /// An integer of seven bits a byte.
    pub fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let Some((&byte, rest)) = self.rest.split_first() else { return error("unexpected EOF") };
            self.rest = rest;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            if byte < 0x80 {
                return Ok(value);
            }
        }
        error("proto: integer overflow")
    }

    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(length) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => error("unexpected EOF"),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?;
        bytes.try_into().or_else(|_| error("unexpected EOF"))
    }
}

/// Writes an integer of seven bits a byte.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes an integer field.
pub(super) fn put_int(out: &mut Vec<u8>, tag: u32, value: i64) {
    put_varint(out, u64::from(tag) << 3);
    put_varint(out, value as u64);
}

/// Writes a double.
pub(super) fn put_double(out: &mut Vec<u8>, tag: u32, value: f64) {
    put_varint(out, (u64::from(tag) << 3) | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Writes a string or bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    put_length(out, tag, bytes.len());
    out.extend_from_slice(bytes);
}

/// What stands before the bytes of a field.
pub(super) fn put_length(out: &mut Vec<u8>, tag: u32, length: usize) {
    put_varint(out, (u64::from(tag) << 3) | 2);
    put_varint(out, length as u64);
}

/// Writes a message that `body` fills.
pub(super) fn put_message(
    out: &mut Vec<u8>,
    tag: u32,
    body: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    put_varint(out, (u64::from(tag) << 3) | 2);
    // One byte of length suffices for most messages; a longer one moves the body.
    let start = out.len();
    out.push(0);
    body(out)?;
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
        return Ok(());
    }
    let mut prefix = Vec::with_capacity(5);
    put_varint(&mut prefix, length as u64);
    out.splice(start..=start, prefix);
    Ok(())
}
