//! Reads the logs as they are together at one moment, line by line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::{Path, PathBuf};

use super::files::{Folder, Log, open};
use super::line::MAX_LINE;

/// Why the logs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing was recorded so far.
    #[error("there is no audit log in {}", .0.display())]
    Nothing(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// The lines of one log, oldest first.
pub(super) struct Lines {
    files: std::vec::IntoIter<(PathBuf, Take<File>)>,
    count: usize,
    reading: Option<Reading>,
}

struct Reading {
    file: PathBuf,
    reader: BufReader<Take<File>>,
    number: u64,
}

/// One line.
pub(super) struct ReadLine {
    pub(super) file: PathBuf,
    /// Its number in the file, from 1.
    pub(super) number: u64,
    /// Its text without the newline; or why it is none.
    pub(super) text: Result<Vec<u8>, &'static str>,
}

/// All lines of these logs as they are together at one moment. Servers go on writing afterwards.
pub(super) fn snapshot<const N: usize>(folder: &Folder, logs: [Log; N]) -> Result<[Lines; N], ReadError> {
    let failed = |path: &Path, source| ReadError::Io { path: path.to_owned(), source };
    if !folder.path().exists() {
        return Err(ReadError::Nothing(folder.path().to_owned()));
    }
    let _locked = folder.lock().map_err(|source| failed(folder.path(), source))?;
    let read = |log| {
        let paths = folder.all(log).map_err(|source| failed(folder.path(), source))?;
        let opened = paths.into_iter().map(|path| {
            let file = open(&path, OpenOptions::new().read(true)).map_err(|source| failed(&path, source))?;
            let length = file.metadata().map_err(|source| failed(&path, source))?.len();
            Ok((path, file.take(length)))
        });
        let files = opened.collect::<Result<Vec<_>, ReadError>>()?;
        Ok(Lines { count: files.len(), files: files.into_iter(), reading: None })
    };
    let read: Vec<Lines> = logs.into_iter().map(read).collect::<Result<_, ReadError>>()?;
    read.try_into().map_err(|_| ReadError::Nothing(folder.path().to_owned()))
}

impl Lines {
    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.count
    }
}

impl Iterator for Lines {
    type Item = Result<ReadLine, ReadError>;

    fn next(&mut self) -> Option<Result<ReadLine, ReadError>> {
        loop {
            if self.reading.is_none() {
                let (file, opened) = self.files.next()?;
                self.reading = Some(Reading { file, reader: BufReader::new(opened), number: 0 });
            }
            let reading = self.reading.as_mut()?;
            let mut line = Vec::new();
            let read = (&mut reading.reader).take(MAX_LINE as u64).read_until(b'\n', &mut line);
            let length = match read {
                Ok(length) => length,
                Err(source) => return Some(Err(ReadError::Io { path: reading.file.clone(), source })),
            };
            if length == 0 {
                self.reading = None;
                continue;
            }
            reading.number += 1;
            let (file, number) = (reading.file.clone(), reading.number);
            let text = if line.pop_if(|byte| *byte == b'\n').is_some() {
                Ok(line)
            } else if length < MAX_LINE {
                Err("the line is cut off")
            } else {
                self.reading = None;
                Err("the line is longer than any line of the log")
            };
            return Some(Ok(ReadLine { file, number, text }));
        }
    }
}
