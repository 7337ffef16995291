//! Reads one call's pipe: standard output and standard error, in the order in which they were written.
//!
//! What comes in small amounts is read by the runtime itself. A flood is read on a thread beside it, in large pieces, so
//! that no command that prints a lot holds up the others. Reading never stops before the pipe's end: a background process
//! must not be killed by a pipe that nobody reads.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::recording::Recording;
use super::spool::Spool;
use crate::sys::{grow_pipe, watch_readable};

/// Bytes that the runtime itself reads at a time. A command that fills this is a flood.
const SMALL_BYTES: usize = 16 << 10;
const ENOUGH: u64 = SMALL_BYTES as u64;

/// Bytes of a flood that are read at a time.
const LARGE_BYTES: usize = 256 << 10;

/// Bytes of a flood after which the thread looks whether it is still needed.
const FLOOD_BYTES: u64 = 8 << 20;

/// The size that a flood's pipe gets: the most that the kernel gives to everybody (pipe(7), `pipe-max-size`).
const PIPE_BYTES: usize = 1 << 20;

/// How long the thread lets the pipe fill.
const FLOOD_BREATH: Duration = Duration::from_micros(100);

/// How long the thread waits for more of a flood, in milliseconds.
const FLOOD_PAUSE: i64 = 2;

/// How long output may still come when the shell has ended and somebody else holds the pipe: what was written before the
/// end is in the pipe already, this is for what a process substitution says last.
const LATE_OUTPUT: Duration = Duration::from_millis(30);

/// The output of a running call.
#[derive(Debug)]
pub(crate) struct Output {
    recording: Recording,
    reader: JoinHandle<()>,
    catch_up: CatchUp,
}

/// Asks a reader to say when it has read what is in its pipe now, and how much it has read then.
#[derive(Clone, Debug)]
pub(crate) struct CatchUp(mpsc::UnboundedSender<oneshot::Sender<u64>>);

impl CatchUp {
    /// How much had been printed by now, once that is recorded; `None`: nothing more is read.
    pub(crate) async fn now(&self) -> Option<u64> {
        let (reply, caught_up) = oneshot::channel();
        self.0.send(reply).ok()?;
        caught_up.await.ok()
    }
}

impl Output {
    /// Starts to read. The returned descriptor is the end to write to, for standard output and standard error alike: one
    /// pipe is the only way to keep their order.
    pub(crate) fn capture(spool: &Spool) -> io::Result<(Output, OwnedFd)> {
        let (read, write) = io::pipe()?;
        Ok((Output::read(read.into(), spool)?, write.into()))
    }

    /// Starts to read what comes from this descriptor: a pipe, or the server's end of a terminal.
    pub(crate) fn read(read: OwnedFd, spool: &Spool) -> io::Result<Output> {
        rustix::io::ioctl_fionbio(&read, true)?;
        let pipe = Arc::new(watch_readable(read)?);
        let recording = spool.begin();
        let (catch_up, asked) = mpsc::unbounded_channel();
        let reader = Reader { pipe, recording: recording.clone(), read: 0, waiting: Vec::new() };
        let reader = tokio::spawn(reader.run(asked));
        Ok(Output { recording, reader, catch_up: CatchUp(catch_up) })
    }

    /// What is printed, while it is being printed.
    pub(crate) fn recording(&self) -> &Recording {
        &self.recording
    }

    /// What asks how much was printed by then.
    pub(crate) fn catch_up(&self) -> CatchUp {
        self.catch_up.clone()
    }

    /// What was printed, once the shell has ended: everything that is in the pipe then, and what comes within a moment. Does
    /// not wait for background processes that hold the pipe; what they print is added later.
    pub(crate) async fn collect(mut self) -> Recording {
        self.catch_up.now().await;
        let _ = tokio::time::timeout(LATE_OUTPUT, &mut self.reader).await;
        self.recording
    }
}

struct Reader {
    pipe: Arc<AsyncFd<OwnedFd>>,
    recording: Recording,
    read: u64,
    /// Who is told when so many bytes have been read.
    waiting: Vec<(u64, oneshot::Sender<u64>)>,
}

/// Why reading paused.
enum Paused {
    /// There is nothing in the pipe.
    Empty,
    /// A lot came at once.
    Flood,
    /// Nobody holds the other end.
    End,
}

impl Reader {
    async fn run(mut self, mut asked: mpsc::UnboundedReceiver<oneshot::Sender<u64>>) {
        let mut may_be_asked = true;
        loop {
            let pipe = Arc::clone(&self.pipe);
            let readable = tokio::select! {
                readable = pipe.readable() => readable,
                reply = asked.recv(), if may_be_asked => {
                    may_be_asked = reply.is_some();
                    let enough = self.read + in_pipe(pipe.get_ref());
                    self.waiting.extend(reply.map(|reply| (enough, reply)));
                    self.tell();
                    continue;
                }
            };
            let paused = match readable {
                Ok(mut ready) => {
                    let paused = self.some().await;
                    if matches!(paused, Ok(Paused::Empty)) {
                        ready.clear_ready();
                    }
                    paused
                }
                Err(error) => Err(error),
            };
            self.tell();
            match paused {
                Ok(Paused::Empty | Paused::Flood) => {}
                Ok(Paused::End) => break,
                Err(error) => {
                    tracing::error!(%error, "reading a command's output failed");
                    break;
                }
            }
        }
        self.recording.close();
    }

    /// Reads a little here, or a lot on a thread.
    async fn some(&mut self) -> io::Result<Paused> {
        let (paused, read) = self.little()?;
        self.read += read;
        if !matches!(paused, Paused::Flood) {
            return Ok(paused);
        }
        let (pipe, recording) = (Arc::clone(&self.pipe), self.recording.clone());
        let flood = move || {
            grow_pipe(pipe.get_ref(), PIPE_BYTES);
            let mut buffer = vec![0; LARGE_BYTES];
            read_some(pipe.get_ref(), &recording, &mut buffer, FLOOD_BYTES, true)
        };
        let (paused, read) = tokio::task::spawn_blocking(flood).await.map_err(io::Error::other)??;
        self.read += read;
        Ok(paused)
    }

    fn little(&self) -> io::Result<(Paused, u64)> {
        // Not held while waiting, so that it is on the stack and not in each call's memory.
        let mut buffer = [0; SMALL_BYTES];
        read_some(self.pipe.get_ref(), &self.recording, &mut buffer, ENOUGH, false)
    }

    /// Tells who waits, if it is time.
    fn tell(&mut self) {
        for (enough, reply) in self.waiting.extract_if(.., |(enough, _)| self.read >= *enough) {
            let _ = reply.send(enough);
        }
    }
}

/// Reads until the pipe is empty, or so many bytes have come; says how many did. `patient`: waits a little when it is empty.
fn read_some(
    pipe: &OwnedFd,
    recording: &Recording,
    buffer: &mut [u8],
    enough: u64,
    patient: bool,
) -> io::Result<(Paused, u64)> {
    let mut read = 0;
    let mut filled = 0;
    let paused = loop {
        if read >= enough {
            break Ok(Paused::Flood);
        }
        if filled == buffer.len() {
            recording.add(buffer);
            filled = 0;
        }
        match rustix::io::read(pipe, buffer.get_mut(filled..).unwrap_or_default()) {
            // Of a terminal that nobody has open any more.
            Ok(0) | Err(Errno::IO) => break Ok(Paused::End),
            Ok(length) => {
                filled += length;
                read += u64::try_from(length).unwrap_or(u64::MAX);
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if patient => {
                recording.add(buffer.get(..filled).unwrap_or_default());
                filled = 0;
                // Reading each small piece at once would cost the writer more than it saves.
                std::thread::sleep(FLOOD_BREATH);
                match more_comes(pipe) {
                    Ok(true) => {}
                    Ok(false) => break Ok(Paused::Empty),
                    Err(error) => break Err(error),
                }
            }
            Err(Errno::AGAIN) => break Ok(Paused::Empty),
            Err(errno) => break Err(errno.into()),
        }
    };
    recording.add(buffer.get(..filled).unwrap_or_default());
    paused.map(|paused| (paused, read))
}

fn more_comes(pipe: &OwnedFd) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let pause = Timespec { tv_sec: 0, tv_nsec: FLOOD_PAUSE * 1_000_000 };
    match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&pause)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// Bytes that are in the pipe now.
fn in_pipe(pipe: impl AsFd) -> u64 {
    rustix::io::ioctl_fionread(pipe).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::Presentation;
    use super::*;
    use crate::config::SpoolLimits;
    use std::fs::File;
    use std::io::Write;

    /// For what comes at once, on a machine that is busy with something else.
    const TIMEOUT: Duration = Duration::from_secs(60);

    fn text(recording: &Recording) -> String {
        recording.view(Presentation::default()).text
    }

    #[tokio::test]
    async fn everything_written_before_the_end_is_there_although_somebody_holds_the_pipe() {
        let spool = Spool::new(SpoolLimits::default());
        for length in [0, 1, SMALL_BYTES, 60 << 10] {
            let (output, write) = Output::capture(&spool).unwrap();
            let mut held = File::from(write.try_clone().unwrap());
            File::from(write).write_all(&vec![b'x'; length]).unwrap();
            let recording = output.collect().await;
            assert_eq!(recording.total(), u64::try_from(length).unwrap());
            assert!(recording.is_open());
            held.write_all(b"later").unwrap();
            drop(held);
            let closed = async {
                while recording.is_open() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(TIMEOUT, closed).await.expect("the pipe's end is noticed");
            assert!(text(&recording).ends_with("later"));
        }
    }

    #[tokio::test]
    async fn a_process_that_prints_without_end_does_not_keep_collect() {
        let spool = Spool::new(SpoolLimits { per_output: 1 << 20, ..SpoolLimits::default() });
        let (output, write) = Output::capture(&spool).unwrap();
        let flood = std::thread::spawn(move || {
            let mut write = File::from(write);
            while write.write_all(&[b'y'; 4096]).is_ok() {}
        });
        tokio::time::timeout(TIMEOUT, output.collect()).await.expect("it comes back");
        drop(flood); // The thread ends with the test's runtime, which closes the pipe.
    }

    #[tokio::test]
    async fn a_flood_arrives_whole() {
        let spool = Spool::new(SpoolLimits::default());
        let (output, write) = Output::capture(&spool).unwrap();
        let writer = std::thread::spawn(move || {
            let mut write = File::from(write);
            for _ in 0..600 {
                write.write_all(&[b'z'; 100_001]).unwrap();
            }
        });
        tokio::task::spawn_blocking(move || writer.join().unwrap()).await.unwrap();
        let recording = output.collect().await;
        assert_eq!(recording.total(), 600 * 100_001);
        assert_eq!(recording.bytes().len(), 600 * 100_001);
    }
}
