//! Random names that nobody guesses, and comparing with them.

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Random bytes of a name: 128 bits.
const BYTES: usize = 16;

/// A new random name of 128 bits, in hexadecimal.
///
/// # Errors
///
/// When the system gives no random numbers.
pub(super) fn random() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hexadecimal(&bytes))
}

/// Bytes as hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is kept of a secret: comparing takes no longer for what is nearly right.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Sealed([u8; 32]);

impl Sealed {
    /// Of this secret.
    pub(super) fn of(secret: &[u8]) -> Sealed {
        Sealed(Sha256::digest(secret).into())
    }

    /// A name for it that no other secret has.
    pub(super) fn long(&self) -> String {
        hexadecimal(self.0.first_chunk::<16>().map_or(&[], |bytes| bytes))
    }

    /// A short name for it, which gives nothing away.
    pub(super) fn short(&self) -> String {
        hexadecimal(self.0.first_chunk::<4>().map_or(&[], |bytes| bytes))
    }
}
