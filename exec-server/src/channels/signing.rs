//! Messages that are signed with a shared key, as the specification Standard Webhooks 1.0.0 has it.

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What a key begins with (section "Signature scheme").
const PREFIX: &str = "whsec_";

/// Bytes of a key: the specification's bounds.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The version of the scheme, HMAC-SHA256, before each signature of it.
const VERSION: &str = "v1,";

/// How far the clocks of the two may be apart.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The key that two share.
#[derive(Clone)]
pub(super) struct SigningKey(hmac::Key);

/// Why a key is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum SigningKeyError {
    /// Its file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is written in another way.
    #[error("is no key: write `whsec_` and 24 to 64 random bytes as base64")]
    NoKey,
}

/// What is signed besides the body.
pub(super) struct Seal<'s> {
    /// The message's own name, which no other one has.
    pub(super) id: &'s str,
    /// When it was sent, in seconds since 1970.
    pub(super) timestamp: u64,
}

impl SigningKey {
    /// Reads a file with a key.
    pub(super) fn read(path: &Path) -> Result<SigningKey, SigningKeyError> {
        std::fs::read_to_string(path)?.parse()
    }

    /// The signature of a message.
    pub(super) fn sign(&self, seal: &Seal<'_>, body: &[u8]) -> String {
        format!("{VERSION}{}", STANDARD.encode(hmac::sign(&self.0, &seal.content(body))))
    }

    /// Whether one of the signatures, which blanks separate, is the message's, and the message was sent just now.
    pub(super) fn verify(&self, seal: &Seal<'_>, body: &[u8], signatures: &str) -> bool {
        let is_fresh = now().abs_diff(seal.timestamp) <= TOLERANCE.as_secs();
        let content = seal.content(body);
        let is_its = |signature: &str| {
            let tag = signature.strip_prefix(VERSION).and_then(|text| STANDARD.decode(text).ok());
            tag.is_some_and(|tag| hmac::verify(&self.0, &content, &tag).is_ok())
        };
        is_fresh && signatures.split(' ').any(is_its)
    }
}

impl FromStr for SigningKey {
    type Err = SigningKeyError;

    fn from_str(text: &str) -> Result<SigningKey, SigningKeyError> {
        let text = text.trim();
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text));
        let bytes = bytes.ok().filter(|bytes| KEY_BYTES.contains(&bytes.len()));
        Ok(SigningKey(hmac::Key::new(hmac::HMAC_SHA256, &bytes.ok_or(SigningKeyError::NoKey)?)))
    }
}

impl Seal<'_> {
    fn content(&self, body: &[u8]) -> Vec<u8> {
        [self.id.as_bytes(), b".", self.timestamp.to_string().as_bytes(), b".", body].concat()
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example that the specification's libraries are tested with.
        let seal = Seal { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330 };
        let signature = KEY.parse::<SigningKey>().unwrap().sign(&seal, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_old_or_another_ones_is_not_verified() {
        let key: SigningKey = KEY.parse().unwrap();
        let seal = Seal { id: "msg_1", timestamp: now() };
        let signature = key.sign(&seal, b"yes");
        assert!(key.verify(&seal, b"yes", &signature));
        assert!(key.verify(&seal, b"yes", &format!("v1a,xyz v1,AAAA {signature}")));
        assert!(!key.verify(&seal, b"no", &signature));
        assert!(!key.verify(&Seal { id: "msg_2", ..seal }, b"yes", &signature));
        assert!(!key.verify(&seal, b"yes", ""));
        let old = Seal { timestamp: now() - TOLERANCE.as_secs() - 10, ..seal };
        assert!(!key.verify(&old, b"yes", &key.sign(&old, b"yes")));
        let other: SigningKey = STANDARD.encode([7; 32]).parse().unwrap();
        assert!(!key.verify(&seal, b"yes", &other.sign(&seal, b"yes")));
    }

    #[test]
    fn a_key_is_long_enough() {
        for text in ["", "whsec_", "secret", &STANDARD.encode([1; 23]), &STANDARD.encode([1; 65])] {
            assert!(text.parse::<SigningKey>().is_err(), "{text}");
        }
        assert!(format!("{KEY}\n").parse::<SigningKey>().is_ok());
    }
}
