//! The terminal's end: finds all servers of the user, also those that come later, and gathers their questions.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::connection::{MOST, ShownConnection};
use super::protocol::{FromServer, FromTerminal, MAX_MESSAGE, VERSION, encode, read};
use super::question::ShownQuestion;
use super::remote::{Heard, Remote};
use crate::sockets::{self, Kind};
use shell_engine::approval::Choice;
use shell_engine::private::runtime_folders;
use shell_engine::visible::visible;

/// How often it is looked for new servers.
const LOOK: Duration = Duration::from_millis(100);

/// Messages that may wait for the person's screen.
const WAITING: usize = 64;

/// Which server, in this process.
pub(super) type ServerId = u64;

/// A server, as it introduced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// Its process.
    pub(super) process: u32,
    /// The folder that it was started in.
    pub(super) folder: String,
    /// Where its rules and its audit log are.
    pub(super) codex_home: Option<PathBuf>,
}

/// Which servers are looked at.
#[derive(Clone, Debug)]
pub enum ServersAt {
    /// Those of this user on this machine; without a folder of the system for them, below this one.
    Here(PathBuf),
    /// One behind HTTP.
    There(Remote),
}

/// What happens at the servers.
#[derive(Debug)]
pub(super) enum News {
    Came(ServerId, Server),
    Went(ServerId),
    Asked(ServerId, Box<ShownQuestion>),
    Closed(ServerId, String),
    /// The connections that are open at a server, and how many more.
    Connections(ServerId, Vec<ShownConnection>, usize),
    /// A server cannot be spoken to; the text says why.
    Trouble(String),
}

/// The servers of the user, and the way to them.
pub(super) struct Servers {
    news: mpsc::Receiver<FromLink>,
    sender: mpsc::Sender<FromLink>,
    folders: Vec<PathBuf>,
    sockets: HashMap<PathBuf, ServerId>,
    /// Sockets that were no good, so that they are spoken of once.
    bad: HashSet<PathBuf>,
    links: HashMap<ServerId, mpsc::Sender<FromTerminal>>,
    next: ServerId,
    look: tokio::time::Interval,
    /// News that come after others.
    later: VecDeque<News>,
}

struct FromLink {
    server: ServerId,
    socket: PathBuf,
    what: Said,
}

enum Said {
    Message(FromServer),
    /// The connection ended.
    End,
    /// The same, of a server that is come back to; and why.
    Lost(String),
}

impl Servers {
    /// Looks in all places where the user's servers may be, or at the one that is named. Called within the runtime.
    pub(super) fn new(at: &ServersAt) -> Servers {
        let (sender, news) = mpsc::channel(WAITING);
        let folders = match at {
            ServersAt::Here(codex_home) => runtime_folders(codex_home),
            ServersAt::There(_) => Vec::new(),
        };
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut servers = Servers {
            news,
            sender,
            folders,
            sockets: HashMap::new(),
            bad: HashSet::new(),
            links: HashMap::new(),
            next: 0,
            look,
            later: VecDeque::new(),
        };
        if let ServersAt::There(remote) = at {
            servers.attend_remote(remote.clone());
        }
        servers
    }

    /// Looks at a server behind HTTP, and comes back to it when the connection ends.
    fn attend_remote(&mut self, remote: Remote) {
        let server = self.next;
        self.next += 1;
        let (link, answers) = mpsc::channel(WAITING);
        self.links.insert(server, link);
        let (sender, name) = (self.sender.clone(), PathBuf::from(remote.name()));
        let heard = move |said| {
            let what = match said {
                Heard::Message(message) => Said::Message(message),
                Heard::Lost(why) => Said::Lost(why),
            };
            sender.blocking_send(FromLink { server, socket: name.clone(), what }).is_ok()
        };
        remote.attend(answers, heard);
    }

    /// The next thing that happens. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.later.pop_front() {
                return news;
            }
            tokio::select! {
                _ = self.look.tick() => {
                    if let Some(trouble) = self.look_around() {
                        return News::Trouble(trouble);
                    }
                }
                Some(heard) = self.news.recv() => {
                    if let Some(news) = self.understand(heard) {
                        return news;
                    }
                }
            }
        }
    }

    /// Answers a question.
    pub(super) fn answer(&self, server: ServerId, id: &str, choice: Choice, reason: Option<String>) {
        let answer = FromTerminal::Answer { id: id.into(), choice: choice.word(), reason };
        // A server that is gone needs no answer.
        if let Some(link) = self.links.get(&server) {
            let _ = link.try_send(answer);
        }
    }

    /// Connects to servers that are new.
    fn look_around(&mut self) -> Option<String> {
        if self.folders.is_empty() {
            return None;
        }
        let sockets = sockets::sockets(Kind::Approvals, &self.folders);
        self.bad.retain(|path| sockets.contains(path));
        let mut trouble = None;
        for socket in sockets {
            if self.sockets.contains_key(&socket) || self.bad.contains(&socket) {
                continue;
            }
            match connect(&socket) {
                Ok(stream) => self.attend(socket, stream),
                // It has just gone, or was dead.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
                }
                Err(error) => {
                    trouble = Some(format!("{}: {error}", visible(socket.as_os_str().as_encoded_bytes())));
                    self.bad.insert(socket);
                }
            }
        }
        trouble
    }

    fn attend(&mut self, socket: PathBuf, stream: UnixStream) {
        let server = self.next;
        self.next += 1;
        let (link, mut answers) = mpsc::channel::<FromTerminal>(WAITING);
        self.sockets.insert(socket.clone(), server);
        self.links.insert(server, link);
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let (mut input, mut output) = stream.into_split();
            let hear = async {
                while let Ok(Some(message)) = read::<FromServer>(&mut input, MAX_MESSAGE).await {
                    let heard = FromLink { server, socket: socket.clone(), what: Said::Message(message) };
                    if sender.send(heard).await.is_err() {
                        break;
                    }
                }
            };
            let tell = async {
                while let Some(message) = answers.recv().await {
                    let Ok(frame) = encode(&message) else { continue };
                    if output.write_all(&frame).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! {
                () = hear => {}
                () = tell => {}
            }
            let _ = sender.send(FromLink { server, socket: socket.clone(), what: Said::End }).await;
        });
    }

    fn understand(&mut self, heard: FromLink) -> Option<News> {
        let FromLink { server, socket, what } = heard;
        let name = || visible(socket.as_os_str().as_encoded_bytes());
        match what {
            Said::Message(FromServer::Hello { version: VERSION, server: process, folder, codex_home }) => {
                let folder = visible(folder.as_bytes());
                Some(News::Came(server, Server { process, folder, codex_home }))
            }
            Said::Message(FromServer::Hello { version, .. }) => {
                self.links.remove(&server);
                self.bad.insert(socket.clone());
                Some(News::Trouble(format!("{}: the server speaks version {version}, not {VERSION}", name())))
            }
            Said::Message(FromServer::Refused { why }) => {
                self.bad.insert(socket.clone());
                Some(News::Trouble(format!("{}: refused: {}", name(), visible(why.as_bytes()))))
            }
            Said::Message(FromServer::Asked(shown)) => {
                Some(News::Asked(server, Box::new(shown.made_visible())))
            }
            Said::Message(FromServer::Closed { id }) => Some(News::Closed(server, visible(id.as_bytes()))),
            Said::Message(FromServer::Connections { open, left_out }) => {
                let open = open.into_iter().take(MOST).map(ShownConnection::made_visible).collect();
                Some(News::Connections(server, open, left_out))
            }
            Said::Lost(why) => {
                // What was open is shown again when the server is there again.
                let is_new = self.bad.insert(PathBuf::from(&why));
                self.later.push_back(News::Went(server));
                is_new.then(|| News::Trouble(format!("{}: {}", name(), visible(why.as_bytes()))))
            }
            Said::End => {
                self.sockets.remove(&socket);
                self.links.remove(&server);
                Some(News::Went(server))
            }
        }
    }
}

fn connect(socket: &Path) -> io::Result<UnixStream> {
    let stream = sockets::connect(socket)?;
    stream.set_nonblocking(true)?;
    let stream = UnixStream::from_std(stream)?;
    sockets::same_user(&stream).map_err(io::Error::other)?;
    Ok(stream)
}
