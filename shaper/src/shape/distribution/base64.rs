//! Base64 as RFC 4648 has it, with padding.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PADDING: u8 = b'=';

/// The text of `bytes`.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word =
            group.iter().zip([16, 8, 0]).fold(0, |word, (byte, shift)| word | u32::from(*byte) << shift);
        for (digit, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let index = (word >> shift & 63) as usize;
            text.push(char::from(if digit <= group.len() { DIGITS[index] } else { PADDING }));
        }
    }
    text
}

/// The bytes of `text`, if it is what [`encode`] makes of them.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let (groups, []) = text.as_bytes().as_chunks::<4>() else { return None };
    let mut bytes = Vec::with_capacity(groups.len() * 3);
    for (nth, group) in groups.iter().enumerate() {
        let is_last = nth + 1 == groups.len();
        let len = match group {
            [.., PADDING, PADDING] if is_last => 1,
            [.., PADDING] if is_last => 2,
            _ => 3,
        };
        let mut word = 0;
        for digit in &group[..=len] {
            word = word << 6 | value(*digit)?;
        }
        word <<= 6 * (3 - len);
        let [_, all @ ..] = word.to_be_bytes();
        // Bits that belong to no byte are zero, or one value would have several texts.
        if all[len..].iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend(&all[..len]);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn only_the_one_text_of_some_bytes_is_read() {
        for text in ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "====", "Z===", "Zm 8", "Zm9v\n", "Zm9-"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(bytes: Vec<u8>, text in "[A-Za-z0-9+/=]{0,12}") {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
