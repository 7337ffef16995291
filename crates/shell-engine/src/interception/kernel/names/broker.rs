//! One call's broker: what the door's thread lets happen at once, and the thread for the rest.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};

use rustix::fs::{FileType, Mode, fstat, readlinkat};
use rustix::io::Errno;
use rustix::process::umask;
use sandbox::{NameRules, Session};

use super::super::refused::Refused;
use super::made::MadeByCall;
use super::place::{Asker, Lies, Place, is_held, is_read_only, lies, mount_of};
use super::wish::{At, Wish};
use super::work::{Outcome, Worker};
use crate::judgement::Refusals;
use crate::sandboxes::Sandbox;
use crate::sys::connections::{has_same_file, take_descriptor};
use crate::sys::notifications::{Listener, Notification};
use crate::sys::{own_umask, path_of};

/// A call that waits for the broker.
struct Waiting {
    call: Notification,
    wish: Wish,
}

/// What is known of names in a sandbox. It does not keep the sandbox, whose end takes longer than the door's thread may wait.
pub(in crate::interception::kernel) struct Names {
    rules: Arc<NameRules>,
    sandbox: Weak<Sandbox>,
}

impl Names {
    /// None where names are not brokered.
    pub(in crate::interception::kernel) fn of(sandbox: &Arc<Sandbox>) -> Option<Names> {
        let rules = Arc::clone(sandbox.session().names()?);
        Some(Names { rules, sandbox: Arc::downgrade(sandbox) })
    }
}

/// Answers for the names that the processes of one call make. Its thread ends with it.
pub(in crate::interception::kernel) struct Broker {
    names: Names,
    listener: Arc<Listener>,
    refused: Refused,
    refusals: Option<Refusals>,
    made: MadeByCall,
    /// To the thread, once there is one.
    waiting: Option<Sender<Waiting>>,
    /// Where a name was last looked for.
    last: Option<Unheld>,
}

/// A folder that is not held, which a thread has open: who removes a tree asks about one after the other name in it.
struct Unheld {
    thread: i32,
    number: i32,
    /// The same open file.
    folder: OwnedFd,
}

impl Unheld {
    /// That in which a name is looked for by a descriptor, if it is one in it.
    fn of(thread: i32, at: &At) -> Option<Unheld> {
        let folder = take_descriptor(thread, at.folder).ok()?;
        let is_folder = FileType::from_raw_mode(fstat(&folder).ok()?.st_mode) == FileType::Directory;
        is_folder.then_some(Unheld { thread, number: at.folder, folder })
    }

    fn is(&self, thread: i32, at: &At) -> bool {
        self.thread == thread
            && self.number == at.folder
            && has_same_file(thread, self.number, self.folder.as_fd())
    }
}

impl Broker {
    /// For the call whose processes report to this listener; what is refused is on record.
    pub(in crate::interception::kernel) fn new(
        names: Names,
        listener: &Arc<Listener>,
        (refused, refusals): (&Refused, Option<&Refusals>),
        made: &MadeByCall,
    ) -> Broker {
        if names.rules.has_mounts() {
            refused.is_looked_at();
        }
        Broker {
            names,
            listener: Arc::clone(listener),
            refused: refused.clone(),
            refusals: refusals.cloned(),
            made: made.clone(),
            waiting: None,
            last: None,
        }
    }

    /// Answers a call, now or soon. Never waits for a file system.
    pub(in crate::interception::kernel) fn answer(&mut self, call: Notification) {
        let wish = Wish::read(&call);
        if let Some(path) = wish.as_ref().and_then(Wish::only_reads) {
            let _ =
                self.refusals.as_ref().map(|refusals| refusals.note_read(Path::new(OsStr::from_bytes(path))));
            // Who is gone needs no answer.
            let _ = self.listener.let_happen(call.id);
            return;
        }
        let id = call.id;
        match wish.filter(|wish| !wish.is_of_a_device() && !self.happens(call.thread, wish)) {
            Some(wish) => {
                if !self.take(Waiting { call, wish }) {
                    answer_for_nobody(&self.listener, &self.names.rules, id);
                }
            }
            // Who is gone needs no answer.
            None => drop(self.listener.let_happen(id)),
        }
    }

    /// Whether a call may happen as it is, by a look that never waits.
    fn happens(&mut self, thread: i32, wish: &Wish) -> bool {
        let Some(at) = wish.name_in_folder() else { return self.look(thread, wish) != Look::Unclear };
        if self.last.as_ref().is_some_and(|last| last.is(thread, at)) {
            return true;
        }
        let look = self.look(thread, wish);
        self.last = if look == Look::Happens { Unheld::of(thread, at) } else { None };
        look != Look::Unclear
    }

    fn look(&self, thread: i32, wish: &Wish) -> Look {
        let look = look(&self.names.rules, thread, wish);
        if look == Look::Refused {
            note_refused((&self.refused, self.refusals.as_ref()), thread, wish, true);
        }
        look
    }

    fn take(&mut self, waiting: Waiting) -> bool {
        if self.waiting.is_none() {
            self.waiting = self.start();
        }
        self.waiting.as_ref().is_some_and(|thread| thread.send(waiting).is_ok())
    }

    fn start(&self) -> Option<Sender<Waiting>> {
        let (send, waiting) = channel();
        let (rules, listener) = (Arc::clone(&self.names.rules), Arc::clone(&self.listener));
        let sandbox = Weak::clone(&self.names.sandbox);
        let (refused, refusals, made) = (self.refused.clone(), self.refusals.clone(), self.made.clone());
        let thread = std::thread::Builder::new().name("names".into());
        let started = thread.spawn(move || {
            if let Err(error) =
                run((&sandbox, &rules), &listener, (&refused, refusals.as_ref(), &made), &waiting)
            {
                tracing::error!(%error, "names that commands make in protected folders are refused");
                while let Ok(Waiting { call, .. }) = waiting.recv() {
                    answer_for_nobody(&listener, &rules, call.id);
                }
            }
        });
        started.ok().map(|_| send)
    }
}

/// Answers where there is no thread that could: names meet the read-only mounts, and without those nothing else would refuse
/// them.
fn answer_for_nobody(listener: &Listener, rules: &NameRules, id: u64) {
    // Who is gone needs no answer.
    let _ = if rules.has_mounts() { listener.let_happen(id) } else { listener.fail(id, libc::EPERM) };
}

fn run(
    (sandbox, rules): (&Weak<Sandbox>, &NameRules),
    listener: &Listener,
    (refused, refusals, made): (&Refused, Option<&Refusals>, &MadeByCall),
    waiting: &Receiver<Waiting>,
) -> std::io::Result<()> {
    let Some(sandbox) = sandbox.upgrade() else { return Ok(()) };
    // A umask of its own, and nothing that commands may not do either. A container's filter may refuse the first, as Docker's
    // does: what is made has the server's umask then besides the asker's, and no socket gets a name.
    let own_umask = own_umask().is_ok();
    if own_umask {
        umask(Mode::empty());
    }
    let session: &Session = sandbox.session();
    session.limit_this_thread()?;
    while let Ok(Waiting { call, wish }) = waiting.recv() {
        // What was read is of the process that asks only if it still does.
        if !listener.is_waiting(call.id) {
            continue;
        }
        let asker = Asker { thread: call.thread, at_once: false, shares_view: !rules.has_mounts() };
        let outcome = Worker { session, rules, asker, own_umask, made, refused, refusals }.grant(&wish);
        if rules.has_mounts() && matches!(outcome, Outcome::Happens) {
            note_refused((refused, refusals), call.thread, &wish, false);
        }
        // Who is gone needs no answer.
        let _ = match outcome {
            Outcome::Happens => listener.let_happen(call.id),
            Outcome::Done => listener.succeed(call.id),
            Outcome::Fails(errno) => listener.fail(call.id, errno.raw_os_error()),
            Outcome::Opened { file, closes_on_exec } => listener
                .answer_with(call.id, file, closes_on_exec)
                .or_else(|error| listener.fail(call.id, error.raw_os_error().unwrap_or(libc::EMFILE))),
        };
    }
    Ok(())
}

/// Notes what the kernel will refuse, because it lies on a mount that nobody inside can write and that is not held.
fn note_refused((refused, refusals): (&Refused, Option<&Refusals>), thread: i32, wish: &Wish, at_once: bool) {
    let asker = Asker { thread, at_once, shares_view: false };
    let note = |at: &At, is_needed: fn(&Place) -> bool| {
        let Ok(place) = asker.place(&at.base(), &at.path) else { return };
        if is_read_only(&place.seen)
            && is_needed(&place)
            && let Some(folder) = path_of(&place.seen)
        {
            let path = folder.join(&place.name);
            if let Some(refusals) = refusals {
                refusals.note_write(path.clone());
            }
            refused.note_write(path);
        }
    };
    match wish {
        // A folder that is there is not made anew, whatever the mount.
        Wish::MakeFolder { at, .. } | Wish::MakeNode { at, .. } | Wish::MakeLink { at, .. } => {
            note(at, |place| !place.exists());
        }
        Wish::Open { at, .. } | Wish::Bind { at, .. } => note(at, |_| true),
        Wish::Remove { at, .. } => note(at, Place::exists),
        Wish::Change { at, follows: false, .. } => note(at, Place::exists),
        Wish::Rename { from, to, .. } => {
            note(from, Place::exists);
            note(to, |_| true);
        }
        Wish::Link { to, .. } => note(to, |_| true),
        // Where links lead.
        Wish::Change { at, follows: true, .. } => {
            let object = asker.object(&at.base(), &at.path, true).ok();
            if let Some(path) =
                object.filter(|object| is_read_only(object)).and_then(|object| path_of(&object))
            {
                refused.note_write(path);
            }
        }
    }
}

/// What a look that never waits says of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Happens,
    /// It happens, and the kernel refuses it.
    Refused,
    /// It is to be looked at again, or done for the asker.
    Unclear,
}

impl Look {
    fn of(lies: Lies) -> Look {
        match lies {
            Lies::Free => Look::Happens,
            Lies::ReadOnly => Look::Refused,
            Lies::Held => Look::Unclear,
        }
    }
}

/// What is let happen wrongly meets a read-only mount, where there are mounts.
fn look(rules: &NameRules, thread: i32, wish: &Wish) -> Look {
    let asker = Asker { thread, at_once: true, shares_view: !rules.has_mounts() };
    let looked = match wish {
        Wish::Open { at, flags, .. } => open_happens(rules, asker, at, *flags),
        Wish::MakeFolder { at, .. }
        | Wish::MakeNode { at, .. }
        | Wish::MakeLink { at, .. }
        | Wish::Bind { at, .. }
        | Wish::Remove { at, .. } => {
            asker.place(&at.base(), &at.path).map(|place| Look::of(place.lies(rules)))
        }
        Wish::Rename { from, to, .. } => both_happen(rules, asker, from, to),
        Wish::Link { from, to, .. } => match asker.object(&from.base(), &from.path, true) {
            // Also by a descriptor.
            Ok(seen) if !rules.has_mounts() && is_held(rules, &seen) => Ok(Look::Unclear),
            Err(Errno::AGAIN) => Err(Errno::AGAIN),
            Ok(_) | Err(_) => both_happen(rules, asker, from, to),
        },
        Wish::Change { at, follows, .. } => {
            asker.object(&at.base(), &at.path, *follows).map(|object| Look::of(lies(rules, &object)))
        }
    };
    match looked {
        Ok(look) => look,
        Err(Errno::AGAIN) => Look::Unclear,
        Err(_) => Look::Happens,
    }
}

fn open_happens(rules: &NameRules, asker: Asker, at: &At, flags: u32) -> Result<Look, Errno> {
    let has = |flag: i32| flags & flag.unsigned_abs() != 0;
    let makes = has(libc::O_CREAT);
    match asker.object(&at.base(), &at.path, !(has(libc::O_NOFOLLOW) || makes && has(libc::O_EXCL))) {
        Ok(object) => Ok(Look::of(lies(rules, &object))),
        Err(Errno::NOENT) if makes => {
            let place = asker.place(&at.base(), &at.path)?;
            // A link to what is not there yet.
            let is_link = readlinkat(&place.seen, &place.name, Vec::new()).is_ok();
            Ok(if is_link { Look::Unclear } else { Look::of(place.lies(rules)) })
        }
        Err(errno) => Err(errno),
    }
}

fn both_happen(rules: &NameRules, asker: Asker, from: &At, to: &At) -> Result<Look, Errno> {
    let place = |at: &At| asker.place(&at.base(), &at.path);
    let to = place(to)?;
    let from: Place = match place(from) {
        Ok(from) => from,
        // A file without a name, by its descriptor.
        Err(_) if to.is_held(rules) => return Ok(Look::Unclear),
        Err(errno) => return Err(errno),
    };
    let both = [&from, &to];
    if !rules.has_mounts() {
        let held = both.iter().any(|place| place.is_held(rules));
        return Ok(if held { Look::Unclear } else { Look::Happens });
    }
    let same = mount_of(&from.seen).is_some() && mount_of(&from.seen) == mount_of(&to.seen);
    if same {
        return Ok(Look::of(from.lies(rules)));
    }
    let concerns = |place: &&Place| path_of(&place.seen).is_some_and(|path| rules.holder(&path).is_some());
    Ok(match both.iter().any(concerns) {
        true => Look::Unclear,
        false if both.iter().any(|place| is_read_only(&place.seen)) => Look::Refused,
        false => Look::Happens,
    })
}
