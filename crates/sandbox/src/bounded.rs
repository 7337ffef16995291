//! Lists that travel between processes: none is longer than its bound, on neither side.

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// Reads a list of at most `N` items. A longer one is an error, before anything is allocated for it where the format
/// tells the length first.
pub(crate) fn at_most<'de, const N: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_seq(AtMost::<N, T>(PhantomData))
}

/// Writes a list of at most `N` items. A longer one is an error: nobody would read it.
pub(crate) fn within<const N: usize, T, S>(list: &[T], serializer: S) -> Result<S::Ok, S::Error>
where
    T: Serialize,
    S: Serializer,
{
    if list.len() > N {
        return Err(S::Error::custom(format_args!("more than {N} items")));
    }
    list.serialize(serializer)
}

struct AtMost<const N: usize, T>(PhantomData<T>);

impl<'de, const N: usize, T: Deserialize<'de>> Visitor<'de> for AtMost<N, T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at most {N} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let told = items.size_hint().unwrap_or(0);
        if told > N {
            return Err(A::Error::invalid_length(told, &self));
        }
        let mut list = Vec::with_capacity(told);
        while let Some(item) = items.next_element()? {
            if list.len() == N {
                return Err(A::Error::invalid_length(N + 1, &self));
            }
            list.push(item);
        }
        Ok(list)
    }
}
