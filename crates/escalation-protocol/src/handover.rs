//! What follows an *escalate*: what the program inherits, signals for it, and how it ended.

use crate::DecodeError;
use crate::inherited::{INHERITED_BYTES, InheritedAttributes};

/// The most descriptors that one program can be given: the kernel carries no more in one message (`SCM_MAX_FD`,
/// unix(7)).
pub const MAX_DESCRIPTORS: usize = 253;

/// Bytes of the longest body.
pub const MAX_HANDOVER: usize = INHERITED_BYTES + 4 * MAX_DESCRIPTORS;

/// What the program inherits: the shell's settings, and descriptors, by their numbers in the order in which the
/// descriptors themselves are attached.
#[derive(Clone, Copy, Debug)]
pub struct Handover {
    /// The shell's settings.
    pub inherited: InheritedAttributes,
    numbers: [u32; MAX_DESCRIPTORS],
    count: usize,
}

impl Handover {
    /// A handover without descriptors.
    pub fn new(inherited: InheritedAttributes) -> Handover {
        Handover { inherited, numbers: [0; MAX_DESCRIPTORS], count: 0 }
    }

    /// Adds a number; returns false when there is no room for it.
    #[must_use]
    pub fn push(&mut self, number: u32) -> bool {
        let Some(slot) = self.numbers.get_mut(self.count) else { return false };
        *slot = number;
        self.count += 1;
        true
    }

    /// The numbers, in the order of the attached descriptors.
    pub fn numbers(&self) -> &[u32] {
        self.numbers.get(..self.count).unwrap_or_default()
    }

    /// The bytes of the body: the inherited attributes, then one number (little endian) after the other.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; MAX_HANDOVER]) -> &'b [u8] {
        let (first, rest) = buffer.split_at_mut(INHERITED_BYTES);
        first.copy_from_slice(&self.inherited.encode());
        for (bytes, number) in rest.as_chunks_mut::<4>().0.iter_mut().zip(self.numbers()) {
            *bytes = number.to_le_bytes();
        }
        buffer.get(..INHERITED_BYTES + 4 * self.count).unwrap_or_default()
    }

    /// Decodes a body.
    ///
    /// # Errors
    ///
    /// When the numbers' length is no multiple of four, there are too many of them, or one occurs twice.
    pub fn decode(body: &[u8]) -> Result<Handover, DecodeError> {
        let (inherited, numbers) = body.split_first_chunk().ok_or(DecodeError::Malformed)?;
        let (numbers, []) = numbers.as_chunks::<4>() else { return Err(DecodeError::Malformed) };
        let mut handover = Handover::new(InheritedAttributes::decode(inherited));
        for bytes in numbers {
            let number = u32::from_le_bytes(*bytes);
            if handover.numbers().contains(&number) || !handover.push(number) {
                return Err(DecodeError::Malformed);
            }
        }
        Ok(handover)
    }
}

/// How an escalated program ended, or why it did not begin.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Outcome {
    /// It exited with this code.
    #[cfg_attr(feature = "serde", serde(rename = "exit_code"))]
    Exited(u8),
    /// It was killed by this signal.
    #[cfg_attr(feature = "serde", serde(rename = "signal"))]
    Signaled(u8),
    /// It could not be started: the errno that execve(2) or its preparation gave.
    NotStarted(u32),
}

impl Outcome {
    /// Encodes the body.
    pub fn encode(self) -> [u8; 5] {
        let (tag, value) = match self {
            Outcome::Exited(code) => (0, u32::from(code)),
            Outcome::Signaled(signal) => (1, u32::from(signal)),
            Outcome::NotStarted(errno) => (2, errno),
        };
        let [a, b, c, d] = value.to_le_bytes();
        [tag, a, b, c, d]
    }

    /// Decodes a body.
    ///
    /// # Errors
    ///
    /// When the length, the tag or the value is not one of an outcome.
    pub fn decode(body: &[u8]) -> Result<Outcome, DecodeError> {
        let &[tag, a, b, c, d] = body else { return Err(DecodeError::Malformed) };
        let value = u32::from_le_bytes([a, b, c, d]);
        let small = || u8::try_from(value).map_err(|_| DecodeError::Malformed);
        match tag {
            0 => Ok(Outcome::Exited(small()?)),
            1 => Ok(Outcome::Signaled(small()?)),
            2 => Ok(Outcome::NotStarted(value)),
            other => Err(DecodeError::UnexpectedTag(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
        InheritedAttributes::PLAIN
            .encode()
            .into_iter()
            .chain(numbers.into_iter().flat_map(u32::to_le_bytes))
            .collect()
    }

    #[test]
    fn a_descriptor_number_cannot_be_given_twice() {
        let body = body([1, 1]);
        assert_eq!(Handover::decode(&body).err(), Some(DecodeError::Malformed));
        assert_eq!(Handover::decode(body.get(..INHERITED_BYTES + 4).unwrap()).unwrap().numbers(), [1]);
        assert_eq!(
            Handover::decode(body.get(..INHERITED_BYTES - 1).unwrap()).err(),
            Some(DecodeError::Malformed)
        );
    }

    #[test]
    fn more_descriptors_than_the_kernel_carries_are_refused() {
        assert_eq!(Handover::decode(&body(0..=253)).err(), Some(DecodeError::Malformed));
    }

    proptest! {
        #[test]
        fn a_handover_survives_the_wire(numbers in proptest::collection::btree_set(0u32..5000, 0..MAX_DESCRIPTORS)) {
            let mut handover = Handover::new(InheritedAttributes::PLAIN);
            for number in &numbers {
                prop_assert!(handover.push(*number));
            }
            let mut buffer = [0; MAX_HANDOVER];
            let decoded = Handover::decode(handover.encode(&mut buffer)).unwrap();
            prop_assert_eq!(decoded.numbers(), handover.numbers());
        }

        #[test]
        fn any_bytes_are_a_handover_or_an_error(body: Vec<u8>) {
            if let Ok(handover) = Handover::decode(&body) {
                prop_assert_eq!(INHERITED_BYTES + handover.numbers().len() * 4, body.len());
            }
        }

        #[test]
        fn any_bytes_are_an_outcome_or_an_error(body: Vec<u8>) {
            if let Ok(outcome) = Outcome::decode(&body) {
                prop_assert_eq!(&outcome.encode()[..], &body[..]);
            }
        }
    }
}
