//! What is refused where no mount does it: in a sandbox with Landlock alone.
//!
//! What is asked for in a held folder is done by the broker or refused, so nothing there depends on a path that is followed twice.
//! Elsewhere the call happens after the look, and who exchanges what the path leads to in between gets through.

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::place::is_held;
use super::wish::{At, Wish};
use super::work::{Outcome, Worker};
use crate::sys::path_of;

impl Worker<'_> {
    /// What is not granted: a read-only mount refuses it; where there is none, that is done here, with the error that it would give.
    pub(super) fn otherwise(&self, wish: &Wish) -> Outcome {
        if self.rules.has_mounts() {
            return Outcome::Happens;
        }
        // As Landlock says it.
        if let Wish::Rename { from, to, .. } | Wish::Link { from, to, .. } = wish
            && [from, to].into_iter().any(|at| self.is_outside(at))
        {
            return Outcome::Fails(Errno::XDEV);
        }
        let place = |at: &At| self.asker.place(&at.base(), &at.path).ok().filter(|place| self.holds(place));
        let kept = match wish {
            Wish::Open { at, flags, .. } => self.keeps_from_opening(at, OFlags::from_bits_retain(*flags)),
            Wish::MakeFolder { at, .. }
            | Wish::MakeNode { at, .. }
            | Wish::MakeLink { at, .. }
            | Wish::Bind { at, .. } => place(at).is_some_and(|place| !place.exists()),
            Wish::Remove { at, .. } => place(at).is_some_and(|place| place.exists()),
            Wish::Rename { from, to, .. } => {
                place(from).is_some_and(|place| place.exists()) || place(to).is_some()
            }
            Wish::Link { from, to, .. } => {
                let seen = self.asker.object(&from.base(), &from.path, true);
                place(from).is_some_and(|place| place.exists())
                    || place(to).is_some()
                    || seen.is_ok_and(|seen| is_held(self.rules, &seen))
            }
            Wish::Change { at, follows, .. } => {
                let seen = self.asker.object(&at.base(), &at.path, *follows);
                seen.is_ok_and(|seen| is_held(self.rules, &seen))
            }
        };
        if kept { Outcome::Fails(Errno::ROFS) } else { Outcome::Happens }
    }

    fn is_outside(&self, at: &At) -> bool {
        let place = self.asker.place(&at.base(), &at.path).ok();
        let path = place.and_then(|place| Some(path_of(&place.seen)?.join(&place.name)));
        path.is_some_and(|path| !self.rules.is_in_root(&path))
    }

    fn keeps_from_opening(&self, at: &At, flags: OFlags) -> bool {
        let is_new = flags.contains(OFlags::CREATE | OFlags::EXCL);
        match self.asker.object(&at.base(), &at.path, !flags.contains(OFlags::NOFOLLOW)) {
            Ok(seen) => !is_new && is_held(self.rules, &seen),
            Err(_) => {
                flags.contains(OFlags::CREATE) && self.last(at, flags).is_ok_and(|place| self.holds(&place))
            }
        }
    }
}
