//! What the guard has to keep what is mounted in its place, and does for the server meanwhile.

use super::namespaces::Attempt;
use super::newcomers::{Come, Newcomers};
use super::placeholders::Placeholders;
use super::process_tree::Tree;
use super::repair::{self, Doors, Verified};
use super::sys::SingleThreaded;
use super::watch::Watch;
use super::wire::{self, GuardCommand};
use super::{gateway, packet};
use crate::enforcement::Namespace;
use crate::plan::{Plan, Reserved};
use rustix::net::RecvFlags;
use rustix::thread::LinkNameSpaceType;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

/// What sees to it that the mounts are there.
pub(super) struct Mending {
    doors: Doors,
    watch: Rc<Watch>,
    newcomers: Newcomers,
    verified: Verified,
}

impl Mending {
    /// Begins to watch; what is replaced from now on is noticed.
    pub(super) fn begin(
        doors: Doors,
        watch: Rc<Watch>,
        verified: Verified,
        plan: &Plan,
        attempt: &Attempt,
    ) -> io::Result<Mending> {
        repair::watch_places(&watch, plan)?;
        let newcomers = Newcomers::begin(&watch, plan, !attempt.has(Namespace::Network))?;
        Ok(Mending { doors, watch, newcomers, verified })
    }

    /// What is readable when there is something to notice.
    pub(super) fn bell(&self) -> &impl AsFd {
        &*self.watch
    }

    /// Looks at what programs outside have done since the last look, and mends. An error means that something is not
    /// protected.
    pub(super) fn notice(
        &mut self,
        proof: SingleThreaded,
        session: &Tree,
        plan: &mut Plan,
        placeholders: &mut Placeholders,
    ) -> io::Result<()> {
        let Mending { doors, watch, newcomers, verified } = self;
        let happened = watch.take()?;
        let mut concerned = happened.concerned;
        let Come { sockets, folders } = newcomers.come(watch, &happened, session)?;
        // Where it fails, the first use tries again.
        let _ = repair::bind_writable(proof, doors, plan, &folders);
        for socket in sockets {
            if !plan.hidden.contains(&socket) {
                repair::watch_place(watch, &socket)?;
                plan.hidden.push(socket);
                concerned = true;
            }
        }
        if concerned {
            placeholders.restore(&placeholders_of(plan));
            verified.forget();
            // Before the repair: what is replaced after it is noticed.
            repair::watch_places(watch, plan)?;
            repair::repair(proof, doors, plan)?;
        }
        Ok(())
    }

    /// Takes one command of the server's and answers it. A server that is gone ends the session in any case.
    pub(super) fn run_errand(&mut self, proof: SingleThreaded, errands: &OwnedFd, plan: &Plan) {
        let Mending { doors, verified, .. } = self;
        let Ok(Some(packet)) = packet::receive(errands, RecvFlags::DONTWAIT) else { return };
        let done = match wire::decode(&packet.bytes) {
            Ok(GuardCommand::BindWritable { folder }) => {
                let folder = Path::new(OsStr::from_bytes(folder.to_bytes()));
                repair::bind_writable(proof, doors, plan, &[folder.to_owned()]).is_ok()
            }
            Ok(GuardCommand::Mend) => verified.renew(|| repair::repair(proof, doors, plan)).is_ok(),
            Ok(GuardCommand::Sockets { count }) => {
                let gateway = packet.descriptors.first();
                let made = gateway.map_or(Err(io::ErrorKind::InvalidInput.into()), |gateway| {
                    let network = (gateway.as_fd(), LinkNameSpaceType::Network);
                    repair::inside_of(proof, doors, network, || gateway::send_sockets(errands, count))
                });
                // Who has made them has answered.
                if made.is_ok() {
                    return;
                }
                false
            }
            Err(_) => false,
        };
        let _ = packet::send_soon(errands, &done, &[]);
    }
}

/// Lists the names that something stands for. Where names are brokered, only others' sockets' folders are so held.
pub(super) fn placeholders_of(plan: &Plan) -> Vec<Reserved> {
    let reserved = plan.reserved.iter().filter(|_| !plan.brokered);
    reserved.chain(&plan.socket_folders).cloned().collect()
}
