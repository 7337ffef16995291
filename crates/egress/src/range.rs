//! The range of addresses that stand for names, and which name has which.

use crate::name::Name;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names of one sandbox that have addresses at the same time. A program that asks for more gets those of names that nobody has
/// connected to.
const MOST_NAMES: u32 = 32_768;
/// Addresses at the beginning of the range that are no name's: ends of links, name servers.
const RESERVED: u32 = 256;
/// Places that are tried when the table is full.
const TRIES: u32 = 64;

/// A range of IPv4 addresses, and one of IPv6 addresses beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first address.
    pub v4: Ipv4Addr,
    /// How many bits of it are the same for all.
    pub v4_prefix: u8,
    /// The first address of a /64.
    pub v6: Ipv6Addr,
}

impl Range {
    /// What sandboxes use: a range for benchmarks of network devices (RFC 2544), which no network routes, and a unique local
    /// one (RFC 4193) whose identifier was drawn by lot.
    pub const SANDBOX: Range = Range {
        v4: Ipv4Addr::new(198, 18, 0, 0),
        v4_prefix: 15,
        v6: Ipv6Addr::new(0xfd5e, 0x94a1, 0x7c3b, 0, 0, 0, 0, 0),
    };

    /// Returns the IPv4 address at a place.
    #[must_use]
    pub fn v4_at(&self, place: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.v4.to_bits().wrapping_add(place))
    }

    /// Returns the IPv6 address at a place.
    #[must_use]
    pub fn v6_at(&self, place: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.v6.to_bits().wrapping_add(u128::from(place)))
    }

    /// Returns the place of an address, if it is of this range.
    #[must_use]
    pub fn place_of(&self, address: IpAddr) -> Option<u32> {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let place = address.to_bits().checked_sub(self.v4.to_bits())?;
                (place < self.size()).then_some(place)
            }
            IpAddr::V6(address) => u32::try_from(address.to_bits().checked_sub(self.v6.to_bits())?).ok(),
        }
    }

    fn size(&self) -> u32 {
        1_u32.checked_shl(32_u32.saturating_sub(self.v4_prefix.into())).unwrap_or(u32::MAX)
    }
}

/// Which name has which place in the range. A name keeps its place as long as the table is not full, and always once
/// somebody has connected to it.
#[derive(Debug)]
pub struct Names {
    range: Range,
    most: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    places: HashMap<Name, u32>,
    /// By place, from the first that is not reserved.
    slots: Vec<Slot>,
    /// Where to look for a slot when all are taken.
    next: u32,
}

#[derive(Debug)]
struct Slot {
    name: Name,
    connected: bool,
}

impl Names {
    /// No names yet.
    #[must_use]
    pub fn new(range: Range) -> Names {
        let most = MOST_NAMES.min(range.size().saturating_sub(RESERVED));
        Names { range, most, state: Mutex::default() }
    }

    /// Returns the range.
    #[must_use]
    pub fn range(&self) -> Range {
        self.range
    }

    /// Returns the addresses of a name, which it gets if it has none; `None` when so many names are in use that it gets
    /// none.
    #[must_use]
    pub fn addresses_of(&self, name: &Name) -> Option<(Ipv4Addr, Ipv6Addr)> {
        let place = self.lock().place_for(name, self.most)? + RESERVED;
        Some((self.range.v4_at(place), self.range.v6_at(place)))
    }

    /// Returns the name of an address.
    #[must_use]
    pub fn name_of(&self, address: IpAddr) -> Option<Name> {
        let state = self.lock();
        Some(state.slots.get(self.slot_of(address)?)?.name.clone())
    }

    /// Returns the name that a connection was made to, which keeps its address from now on.
    #[must_use]
    pub fn connected(&self, address: IpAddr) -> Option<Name> {
        let mut state = self.lock();
        let slot = state.slots.get_mut(self.slot_of(address)?)?;
        slot.connected = true;
        Some(slot.name.clone())
    }

    fn slot_of(&self, address: IpAddr) -> Option<usize> {
        usize::try_from(self.range.place_of(address)?.checked_sub(RESERVED)?).ok()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn place_for(&mut self, name: &Name, most: u32) -> Option<u32> {
        if let Some(place) = self.places.get(name) {
            return Some(*place);
        }
        let slot = Slot { name: name.clone(), connected: false };
        let place = match u32::try_from(self.slots.len()).ok().filter(|length| *length < most) {
            Some(place) => {
                self.slots.push(slot);
                place
            }
            None => self.replace(slot, most)?,
        };
        self.places.insert(name.clone(), place);
        Some(place)
    }

    fn replace(&mut self, slot: Slot, most: u32) -> Option<u32> {
        for _ in 0..TRIES {
            let place = self.next;
            self.next = (self.next + 1) % most.max(1);
            let Some(old) = usize::try_from(place).ok().and_then(|place| self.slots.get_mut(place)) else {
                continue;
            };
            if !old.connected {
                let old = std::mem::replace(old, slot);
                self.places.remove(&old.name);
                return Some(place);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn a_name_keeps_its_addresses() {
        let names = Names::new(Range::SANDBOX);
        let (v4, v6) = names.addresses_of(&name("a.example")).unwrap();
        let other = names.addresses_of(&name("b.example")).unwrap();
        assert_ne!((v4, v6), other);
        assert_eq!(names.addresses_of(&name("a.example")), Some((v4, v6)));
        for address in [v4.into(), v6.into(), v4.to_ipv6_mapped().into()] {
            assert_eq!(names.name_of(address), Some(name("a.example")), "{address}");
        }
        for none in ["198.18.0.1", "198.20.0.0", "198.17.255.255", "127.0.0.1", "::1", "198.19.0.0"] {
            assert_eq!(names.name_of(none.parse().unwrap()), None, "{none}");
        }
    }

    #[test]
    fn a_full_table_gives_away_only_what_nobody_has_connected_to() {
        let range = Range { v4_prefix: 23, ..Range::SANDBOX };
        let names = Names::new(range);
        let kept = names.addresses_of(&name("kept.example")).unwrap();
        assert_eq!(names.connected(kept.0.into()), Some(name("kept.example")));
        for number in 0..2000 {
            let one = name(&format!("n{number}.example"));
            let (v4, _) = names.addresses_of(&one).unwrap();
            assert!(range.place_of(v4.into()).is_some());
            assert_eq!(names.name_of(v4.into()), Some(one));
        }
        assert_eq!(names.addresses_of(&name("kept.example")), Some(kept));
        assert!(names.lock().places.len() <= 256);
    }
}
