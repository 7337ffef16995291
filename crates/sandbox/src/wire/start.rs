//! What to start, and the steps of starting it.

use super::codec::{MAX_DESCRIPTORS, MAX_REQUEST, Malformed, Reader, Writer};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Descriptor numbers that a program can be given are below this one; the supervisor keeps its own above.
pub(crate) const FIRST_PRIVATE_DESCRIPTOR: i32 = 512;

/// In place of a number that is not given.
const ABSENT: i32 = i32::MIN;

/// In place of a number: the descriptor is the folder that the program starts in.
pub(crate) const WORKING_FOLDER: i32 = -1;

/// Says at which step starting a program failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartStep {
    /// The request could not be read.
    ReadRequest,
    /// No process for the call's supervisor.
    ForkSupervisor,
    /// The supervisor could not prepare itself.
    PrepareSupervisor,
    /// No process for the program.
    ForkProgram,
    /// A session of its own.
    NewSession,
    /// Placing the descriptors.
    PlaceDescriptors,
    /// The working folder.
    ChangeDirectory,
    /// Starting the program itself.
    Execute,
}

impl StartStep {
    const ALL: [StartStep; 8] = [
        StartStep::ReadRequest,
        StartStep::ForkSupervisor,
        StartStep::PrepareSupervisor,
        StartStep::ForkProgram,
        StartStep::NewSession,
        StartStep::PlaceDescriptors,
        StartStep::ChangeDirectory,
        StartStep::Execute,
    ];

    /// Returns the words for an error message, fit after "failed to".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            StartStep::ReadRequest => "read the start request",
            StartStep::ForkSupervisor => "start the call's supervisor",
            StartStep::PrepareSupervisor => "prepare the call's supervisor",
            StartStep::ForkProgram => "start a process for the program",
            StartStep::NewSession => "give the program a session of its own",
            StartStep::PlaceDescriptors => "hand the program its descriptors",
            StartStep::ChangeDirectory => "enter the working folder",
            StartStep::Execute => "execute the program",
        }
    }

    pub(crate) fn code(self) -> u8 {
        Self::ALL
            .iter()
            .position(|step| *step == self)
            .and_then(|at| u8::try_from(at).ok())
            .unwrap_or(u8::MAX)
    }

    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl std::fmt::Display for StartStep {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.words())
    }
}

/// Settings of a process that a program inherits. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// Permissions that new files do not get.
    pub umask: Option<u32>,
    /// How nice it is at least.
    pub niceness: Option<i32>,
    /// Signals that are ignored; bit 0 is signal 1.
    pub ignored: u64,
    /// Signals that are blocked; bit 0 is signal 1.
    pub blocked: u64,
    /// Resource limits (number, soft, hard); each applies where it is lower than what there is.
    pub limits: Vec<(u8, u64, u64)>,
}

/// More kinds of limits than a system has.
const MAX_LIMITS: usize = 32;

/// What to start; written by the server into a memory file, read by the call's supervisor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StartRequest {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// `NAME=value` each.
    pub(crate) environment: Vec<OsString>,
    /// Where the program starts, unless a descriptor says it ([`WORKING_FOLDER`]).
    pub(crate) directory: PathBuf,
    /// The numbers at which the program finds the descriptors that came with the message, or [`WORKING_FOLDER`].
    pub(crate) targets: Vec<i32>,
    pub(crate) inherited: Inherited,
}

impl StartRequest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(4096)).bytes(self.program.as_os_str().as_bytes());
        for list in [&self.arguments, &self.environment] {
            writer = writer.count(list.len());
            for item in list {
                writer = writer.bytes(item.as_bytes());
            }
        }
        writer = writer.bytes(self.directory.as_os_str().as_bytes()).count(self.targets.len());
        for target in &self.targets {
            writer = writer.i32(*target);
        }
        let Inherited { umask, niceness, ignored, blocked, limits } = &self.inherited;
        // Neither number is ever below -20.
        writer = writer.i32(umask.and_then(|umask| i32::try_from(umask).ok()).unwrap_or(ABSENT));
        writer = writer.i32(niceness.unwrap_or(ABSENT)).u64(*ignored).u64(*blocked).count(limits.len());
        for (number, soft, hard) in limits {
            writer = writer.u8(*number).u64(*soft).u64(*hard);
        }
        writer.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let program = OsString::from_vec(reader.bytes(MAX_REQUEST)?.to_vec()).into();
        let arguments = reader.strings()?;
        let environment = reader.strings()?;
        let directory = OsString::from_vec(reader.bytes(MAX_REQUEST)?.to_vec()).into();
        let targets =
            (0..reader.count_up_to(MAX_DESCRIPTORS)?).map(|_| reader.i32()).collect::<Result<_, _>>()?;
        let umask = u32::try_from(reader.i32()?).ok();
        let niceness = Some(reader.i32()?).filter(|niceness| *niceness != ABSENT);
        let (ignored, blocked) = (reader.u64()?, reader.u64()?);
        let limits = (0..reader.count_up_to(MAX_LIMITS)?)
            .map(|_| Ok((reader.u8()?, reader.u64()?, reader.u64()?)))
            .collect::<Result<_, Malformed>>()?;
        reader.end()?;
        let inherited = Inherited { umask, niceness, ignored, blocked, limits };
        Ok(StartRequest { program, arguments, environment, directory, targets, inherited })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_back() {
        let request = StartRequest {
            program: "/bin/sh".into(),
            arguments: vec!["sh".into(), OsString::from_vec(vec![0xff, b'x'])],
            environment: vec!["A=b".into()],
            directory: "/".into(),
            targets: vec![0, 1, 250, WORKING_FOLDER],
            inherited: Inherited {
                umask: Some(0o77),
                niceness: Some(-3),
                ignored: 1,
                blocked: 2,
                limits: vec![(7, 100, u64::MAX)],
            },
        };
        let plain = StartRequest { inherited: Inherited::default(), ..request.clone() };
        assert_eq!(StartRequest::decode(&plain.encode()), Ok(plain));
        assert_eq!(StartRequest::decode(&request.encode()), Ok(request));
    }
}
