//! What is on disk: the tables, the records in them and their checksums.
//!
//! | table | key | value |
//! |---|---|---|
//! | `log` | revision | what was written: key, create revision, version before, expiry |
//! | `values` | revision | the value written then |
//! | `meta` | name | a number |
//!
//! Every write appends to `log` and `values`; compaction removes what newer writes replaced. A `log` record says where
//! the key's version before it is, so current values, old revisions and watch history are all the same data, kept once.

use crate::{Revision, StoreError};
use bytes::Bytes;
use redb::TableDefinition;

pub(super) const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
pub(super) const VALUES: TableDefinition<u64, &[u8]> = TableDefinition::new("values");
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// The version of this layout, under `meta`.
pub(super) const FORMAT: (&str, u64) = ("format", 1);
/// At least the revision of any write whose log record is gone.
pub(super) const REVISION: &str = "revision";
/// Readers may go back to here.
pub(super) const COMPACTED: &str = "compacted";
/// What compaction up to here made superfluous was removed.
pub(super) const SWEPT: &str = "swept";

const DELETED: u8 = 1;
const HEADER: usize = 4 + 1 + 8 + 8 + 8;

/// One write as the log keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) key: &'a str,
    pub(super) deleted: bool,
    /// The revision that made the key (a deletion names the one it ended).
    pub(super) create: Revision,
    /// The revision of the key's live version before this write; 0 when there was none.
    pub(super) previous: Revision,
    /// Milliseconds since 1970 when the key is to be deleted; 0 for never.
    pub(super) expires: u64,
}

impl<'a> Record<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.key.len());
        out.extend_from_slice(&[0; 4]);
        out.push(if self.deleted { DELETED } else { 0 });
        for number in [self.create.0, self.previous.0, self.expires] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(self.key.as_bytes());
        let checksum = crc32fast::hash(&out[4..]);
        out[..4].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    pub(super) fn decode(revision: u64, bytes: &'a [u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Corrupt(format!("log record of revision {revision} is damaged"));
        let body = checked(bytes).ok_or_else(damaged)?;
        let (flags, rest) = body.split_first().ok_or_else(damaged)?;
        let number = |index: usize| {
            let bytes = rest.get(index * 8..index * 8 + 8)?;
            bytes.try_into().ok().map(u64::from_le_bytes)
        };
        let key = rest.get(24..).and_then(|key| std::str::from_utf8(key).ok()).ok_or_else(damaged)?;
        Ok(Self {
            key,
            deleted: flags & DELETED != 0,
            create: Revision(number(0).ok_or_else(damaged)?),
            previous: Revision(number(1).ok_or_else(damaged)?),
            expires: number(2).ok_or_else(damaged)?,
        })
    }
}

/// A value as it is stored.
pub(super) fn encode_value(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + value.len());
    out.extend_from_slice(&crc32fast::hash(value).to_le_bytes());
    out.extend_from_slice(value);
    out
}

/// The value behind what is stored.
pub(super) fn decode_value(revision: u64, bytes: &[u8]) -> Result<Bytes, StoreError> {
    let value = checked(bytes)
        .ok_or_else(|| StoreError::Corrupt(format!("value of revision {revision} is damaged")))?;
    Ok(Bytes::copy_from_slice(value))
}

/// What follows a checksum, if that is right.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (checksum, body) = bytes.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*checksum) == crc32fast::hash(body)).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_and_damage_is_noticed() {
        let record = Record {
            key: "/pods/default/ä",
            deleted: true,
            create: Revision(3),
            previous: Revision(9),
            expires: 77,
        };
        let bytes = record.encode();
        assert_eq!(Record::decode(10, &bytes), Ok(record));
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x10;
            assert_eq!(
                Record::decode(10, &damaged),
                Err(StoreError::Corrupt("log record of revision 10 is damaged".into()))
            );
            assert!(Record::decode(10, &bytes[..position]).is_err());
        }
        let value = encode_value(b"value");
        assert_eq!(decode_value(1, &value).as_deref(), Ok(&b"value"[..]));
        assert!(decode_value(1, &value[..7]).is_err());
    }
}
