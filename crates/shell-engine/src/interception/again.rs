//! Starts a program once more that has failed where it was, if a person says so: with what was refused to it.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{FileType, fstat};
use rustix::termios::isatty;
use sandbox::Inherited;

use super::call::InterceptedCall;
use super::outside;
use crate::audit::ExecRecord;
use crate::judgement::{Exec, Refusals, Retry};
use crate::sandboxes::Process;

/// A program that runs, and all that it takes to run it again.
pub(super) struct Again {
    exec: Arc<Exec>,
    retry: Retry,
    refusals: Refusals,
    inherited: Inherited,
    descriptors: Vec<(OwnedFd, i32)>,
    /// How far its input was read before, where that is a file.
    read: Option<u64>,
}

impl Again {
    /// Of a program that is about to start with these descriptors. `None`: what it reads cannot be read again.
    pub(super) fn new(
        exec: &Arc<Exec>,
        retry: Retry,
        refusals: &Refusals,
        (inherited, descriptors): &(Inherited, Vec<(OwnedFd, i32)>),
    ) -> Option<Again> {
        let cloned = |(file, number): &(OwnedFd, i32)| Some((file.try_clone().ok()?, *number));
        let descriptors: Vec<_> = descriptors.iter().map(cloned).collect::<Option<_>>()?;
        let input = descriptors.iter().find(|(_, number)| *number == 0);
        let read = match input.map(|(file, _)| file) {
            None => None,
            Some(file) => match FileType::from_raw_mode(fstat(file).ok()?.st_mode) {
                FileType::RegularFile => Some(File::from(file.try_clone().ok()?).stream_position().ok()?),
                FileType::CharacterDevice if !isatty(file) => None,
                FileType::CharacterDevice
                | FileType::Directory
                | FileType::BlockDevice
                | FileType::Fifo
                | FileType::Socket
                | FileType::Symlink
                | FileType::Unknown => return None,
            },
        };
        let (exec, inherited, refusals) = (Arc::clone(exec), inherited.clone(), refusals.clone());
        Some(Again { exec, retry, refusals, inherited, descriptors, read })
    }

    /// Asks, and starts it. `None`: it stays at its failure.
    pub(super) async fn start(self, call: &InterceptedCall, record: &ExecRecord) -> Option<Arc<Process>> {
        let Again { exec, retry, refusals, inherited, descriptors, read } = self;
        let judged = (&exec, &call.facts);
        let mut program = call.judge.again(judged, record, retry, &refusals).await?;
        if let (Some(read), Some((input, _))) = (read, descriptors.iter().find(|(_, number)| *number == 0)) {
            File::from(input.try_clone().ok()?).seek(SeekFrom::Start(read)).ok()?;
        }
        let place = outside::prepare(call, &exec, &mut program).await;
        let place = place.inspect_err(|why| tracing::warn!("a program is not run again: {why}")).ok()?;
        let started = outside::start(call, &exec, *program, place, (inherited, descriptors)).await;
        started.inspect_err(|error| tracing::warn!(%error, "a program is not run again")).ok()
    }
}
