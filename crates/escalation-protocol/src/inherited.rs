//! What a program inherits beside its descriptors, directory, argv and environment: numbers that the shell has set.

/// Resource limits that a system has at most (Linux 16, macOS 9; `RLIM_NLIMITS` of getrlimit(2)).
pub const LIMITS: usize = 16;

/// Bytes of the encoded form.
pub const INHERITED_BYTES: usize = 4 + 4 + 8 + 8 + 16 * LIMITS;

/// A limit as the system has it, soft and hard; [`u64::MAX`] is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What counts now.
    pub soft: u64,
    /// How far it can be raised.
    pub hard: u64,
}

impl Limit {
    /// No limit.
    pub const NONE: Limit = Limit { soft: u64::MAX, hard: u64::MAX };
}

/// The shell's settings. The numbers of signals and limits are the system's own: both programs run on the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InheritedAttributes {
    /// Permissions that new files do not get (umask(2)).
    pub umask: u32,
    /// How nice it is, from -20 to 19 (nice(2)).
    pub niceness: i32,
    /// Signals that are ignored; bit 0 is signal 1.
    pub ignored: u64,
    /// Signals that are blocked; bit 0 is signal 1.
    pub blocked: u64,
    /// Resource limits, by their numbers.
    pub limits: [Limit; LIMITS],
}

impl InheritedAttributes {
    /// Nothing out of the ordinary.
    pub const PLAIN: InheritedAttributes = InheritedAttributes {
        umask: 0o022,
        niceness: 0,
        ignored: 0,
        blocked: 0,
        limits: [Limit::NONE; LIMITS],
    };

    /// Encodes all of them, little endian, in the order of the fields.
    pub fn encode(&self) -> [u8; INHERITED_BYTES] {
        let mut bytes = [0; INHERITED_BYTES];
        let limits = self.limits.iter().flat_map(|limit| [limit.soft, limit.hard]);
        let wide = [self.ignored, self.blocked].into_iter().chain(limits);
        let narrow = self.umask.to_le_bytes().into_iter().chain(self.niceness.to_le_bytes());
        for (slot, byte) in bytes.iter_mut().zip(narrow.chain(wide.flat_map(u64::to_le_bytes))) {
            *slot = byte;
        }
        bytes
    }

    /// Decodes them. Any bytes are some: whoever applies them decides what is sensible.
    pub fn decode(bytes: &[u8; INHERITED_BYTES]) -> InheritedAttributes {
        let (narrow, wide) = bytes.split_at(8);
        let mut narrow = narrow.as_chunks::<4>().0.iter();
        let mut wide = wide.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let umask = narrow.next().copied().map(u32::from_le_bytes).unwrap_or_default();
        let niceness = narrow.next().copied().map(i32::from_le_bytes).unwrap_or_default();
        let mut next = || wide.next().unwrap_or_default();
        let (ignored, blocked) = (next(), next());
        let limits = core::array::from_fn(|_| Limit { soft: next(), hard: next() });
        InheritedAttributes { umask, niceness, ignored, blocked, limits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_survive_the_wire(bytes in proptest::collection::vec(any::<u8>(), INHERITED_BYTES)) {
            let bytes: [u8; INHERITED_BYTES] = bytes.try_into().unwrap();
            prop_assert_eq!(InheritedAttributes::decode(&bytes).encode(), bytes);
        }
    }

    #[test]
    fn each_field_has_its_place() {
        let mut inherited = InheritedAttributes::PLAIN;
        inherited.umask = 0o077;
        inherited.niceness = -5;
        inherited.blocked = 1 << 14;
        inherited.limits[15] = Limit { soft: 1, hard: 2 };
        assert_eq!(InheritedAttributes::decode(&inherited.encode()), inherited);
    }
}
