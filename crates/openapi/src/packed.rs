//! Documents that are kept compressed: they are large, alike from line to line, and asked for seldom.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateDecoder, DeflateEncoder};
use std::io::Write;

/// A document in a tenth of its size.
#[derive(Debug)]
pub(crate) struct Packed(Box<[u8]>);

impl Packed {
    pub fn new(document: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        let packed = encoder.write_all(document).and_then(|()| encoder.finish());
        Self(packed.expect("writing to memory does not fail").into())
    }

    pub fn unpacked(&self) -> Bytes {
        let mut decoder = DeflateDecoder::new(Vec::with_capacity(self.0.len() * 16));
        let document = decoder.write_all(&self.0).and_then(|()| decoder.finish());
        document.expect("it was packed here").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_out_as_it_went_in() {
        let document = "pods, services and all the rest; ".repeat(1000);
        let packed = Packed::new(document.as_bytes());
        assert!(packed.0.len() < document.len() / 10);
        assert_eq!(packed.unpacked(), document);
        assert_eq!(Packed::new(b"").unpacked(), "");
    }
}
