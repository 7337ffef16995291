//! The dialogue between the server and a session's init.

use super::codec::{MAX_PACKET, Malformed, Reader, Writer};

/// Largest start request that is sent in the message itself, in bytes: many of them fit the socket's buffer at once.
pub(crate) const MAX_IN_PACKET: usize = 8 * 1024;

/// What the server asks of a session's init.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InitCommand {
    /// The plan follows as a memory file; the first message of a session.
    SetUp,
    /// Start a call by this request, or by one in a memory file if this is empty. Descriptors: the call's socket, the memory
    /// file if there is one, then the program's.
    Spawn { call: u64, request: Vec<u8> },
    /// End a call whose supervisor does not answer.
    Destroy { call: u64 },
}

impl InitCommand {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            InitCommand::SetUp => vec![1],
            InitCommand::Spawn { call, request } => Writer::tagged(2).u64(*call).bytes(request).0,
            InitCommand::Destroy { call } => Writer::tagged(3).u64(*call).0,
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let command = match reader.u8()? {
            1 => InitCommand::SetUp,
            2 => InitCommand::Spawn { call: reader.u64()?, request: reader.bytes(MAX_IN_PACKET)?.to_vec() },
            3 => InitCommand::Destroy { call: reader.u64()? },
            _ => return Err(Malformed("unknown command")),
        };
        reader.end()?;
        Ok(command)
    }
}

/// What init says once: set up (with what is in force, as JSON), or what failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InitReport {
    Ready { enforcement: String },
    Failed { reason: String },
}

impl InitReport {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (tag, text) = match self {
            InitReport::Ready { enforcement } => (1, enforcement),
            InitReport::Failed { reason } => (2, reason),
        };
        let end = text.len().min(MAX_PACKET - 8);
        Writer::tagged(tag).bytes(&text.as_bytes()[..end]).0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let tag = reader.u8()?;
        let text = String::from_utf8_lossy(reader.bytes(MAX_PACKET)?).into_owned();
        reader.end()?;
        match tag {
            1 => Ok(InitReport::Ready { enforcement: text }),
            2 => Ok(InitReport::Failed { reason: text }),
            _ => Err(Malformed("unknown report")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_read_back() {
        for command in [
            InitCommand::SetUp,
            InitCommand::Spawn { call: 9, request: vec![1, 2] },
            InitCommand::Destroy { call: 9 },
        ] {
            assert_eq!(InitCommand::decode(&command.encode()), Ok(command));
        }
        for report in
            [InitReport::Ready { enforcement: "{}".into() }, InitReport::Failed { reason: "no".into() }]
        {
            assert_eq!(InitReport::decode(&report.encode()), Ok(report));
        }
        assert!(InitCommand::decode(&[9]).is_err());
    }
}
