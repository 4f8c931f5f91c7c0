//! Hashes that become parts of names and labels.

use serde_json::Value;

/// The letters of generated names: no vowels, nothing to confuse.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A hash of a value and of how often that hash was taken already. The same value always gives the same hash.
pub(crate) fn of(value: &Value, collisions: i64) -> String {
    let mut hash = Fnv(0x811c_9dc5);
    hash.write(value.to_string().as_bytes());
    if collisions > 0 {
        hash.write(&collisions.to_le_bytes());
    }
    safe(&hash.0.to_string())
}

/// Letters that may stand in names, one for each of `text`.
fn safe(text: &str) -> String {
    text.bytes().map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])).collect()
}

struct Fnv(u32);

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hashes_are_stable_and_differ() {
        let template = json!({"spec": {"containers": [{"image": "nginx"}]}});
        assert_eq!(of(&template, 0), of(&template.clone(), 0));
        assert_ne!(of(&template, 0), of(&template, 1));
        assert_ne!(of(&template, 0), of(&json!({}), 0));
    }
}
