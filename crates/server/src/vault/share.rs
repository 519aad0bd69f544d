//! Shares as people bring them and as they are shown.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use keyturn_core::secret::SecretBytes;
use zeroize::Zeroize;

/// A share as people bring it: hex first, since hex is also valid base64.
pub(super) fn decode(text: &str) -> Option<SecretBytes> {
    let hex = || -> Option<Vec<u8>> {
        if text.is_empty() || !text.len().is_multiple_of(2) || !text.is_ascii() {
            return None;
        }
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
    };
    hex().or_else(|| STANDARD.decode(text).ok()).map(SecretBytes::new)
}

/// Shares in both encodings, wiped when dropped.
pub(super) struct Shown {
    /// In hex.
    pub(super) hex: Vec<String>,
    /// In base64.
    pub(super) base64: Vec<String>,
}

impl Shown {
    pub(super) fn new(shares: &[SecretBytes]) -> Self {
        Self {
            hex: shares.iter().map(to_hex).collect(),
            base64: shares.iter().map(|share| STANDARD.encode(share.expose_secret())).collect(),
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.hex.zeroize();
        self.base64.zeroize();
    }
}

fn to_hex(share: &SecretBytes) -> String {
    let mut text = String::with_capacity(share.len() * 2);
    for byte in share.expose_secret() {
        // Writing to memory cannot fail.
        _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_may_be_hex_or_base64() {
        assert_eq!(decode("00ff").expect("hex").expose_secret(), [0, 255]);
        assert_eq!(decode("AP8=").expect("base64").expose_secret(), [0, 255]);
        assert!(decode("no share!").is_none());
    }
}
