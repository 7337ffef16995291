//! What follows an *escalate*: which descriptors the program gets, signals for it, and how it ended.

use crate::DecodeError;

/// The most descriptors that one program can be given: the kernel carries no more in one message (`SCM_MAX_FD`,
/// unix(7)).
pub const MAX_DESCRIPTORS: usize = 253;

/// The descriptor numbers of the program, in the order in which the descriptors themselves are attached.
#[derive(Clone, Copy, Debug)]
pub struct Handover {
    numbers: [u32; MAX_DESCRIPTORS],
    count: usize,
}

impl Handover {
    /// A handover without descriptors.
    pub fn new() -> Handover {
        Handover { numbers: [0; MAX_DESCRIPTORS], count: 0 }
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

    /// The bytes of the body, one number (little endian) after the other.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; 4 * MAX_DESCRIPTORS]) -> &'b [u8] {
        for (bytes, number) in buffer.as_chunks_mut::<4>().0.iter_mut().zip(self.numbers()) {
            *bytes = number.to_le_bytes();
        }
        buffer.get(..4 * self.count).unwrap_or_default()
    }

    /// Decodes a body.
    ///
    /// # Errors
    ///
    /// When the length is no multiple of four, there are too many numbers, or one occurs twice.
    pub fn decode(body: &[u8]) -> Result<Handover, DecodeError> {
        let (numbers, []) = body.as_chunks::<4>() else { return Err(DecodeError::Malformed) };
        let mut handover = Handover::new();
        for bytes in numbers {
            let number = u32::from_le_bytes(*bytes);
            if handover.numbers().contains(&number) || !handover.push(number) {
                return Err(DecodeError::Malformed);
            }
        }
        Ok(handover)
    }
}

impl Default for Handover {
    fn default() -> Self {
        Handover::new()
    }
}

/// How an escalated program ended, or why it did not begin.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It exited with this code.
    Exited(u8),
    /// It was killed by this signal.
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

    #[test]
    fn a_descriptor_number_cannot_be_given_twice() {
        assert_eq!(Handover::decode(&[1, 0, 0, 0, 1, 0, 0, 0]).err(), Some(DecodeError::Malformed));
    }

    #[test]
    fn more_descriptors_than_the_kernel_carries_are_refused() {
        let body: Vec<u8> = (0_u32..=253).flat_map(u32::to_le_bytes).collect();
        assert_eq!(Handover::decode(&body).err(), Some(DecodeError::Malformed));
    }

    proptest! {
        #[test]
        fn a_handover_survives_the_wire(numbers in proptest::collection::btree_set(0u32..5000, 0..MAX_DESCRIPTORS)) {
            let mut handover = Handover::new();
            for number in &numbers {
                prop_assert!(handover.push(*number));
            }
            let mut buffer = [0; 4 * MAX_DESCRIPTORS];
            let decoded = Handover::decode(handover.encode(&mut buffer)).unwrap();
            prop_assert_eq!(decoded.numbers(), handover.numbers());
        }

        #[test]
        fn any_bytes_are_a_handover_or_an_error(body: Vec<u8>) {
            if let Ok(handover) = Handover::decode(&body) {
                prop_assert_eq!(handover.numbers().len() * 4, body.len());
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
