//! Asking those who may answer over HTTP: the questions of all principals of one server, in one place.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::terminal::{FromServer, Hub, VERSION};
use shell_engine::approval::{Channel, OpenQuestion, ReplyFuture};
use shell_engine::visible::visible;

/// Views that may be open at once.
const MAX_VIEWS: usize = 64;

/// What is open on a server behind HTTP.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Hub>);

/// The way of one principal's questions to the desk.
struct DeskChannel {
    hub: Arc<Hub>,
    asker: Option<String>,
}

impl Desk {
    /// Nothing is open yet.
    pub(crate) fn new() -> Desk {
        let folder = std::env::current_dir().unwrap_or_default();
        let folder = visible(folder.as_os_str().as_encoded_bytes());
        let server = std::process::id();
        Desk(Arc::new(Hub::new(
            FromServer::Hello { version: VERSION, server, folder, codex_home: None },
            MAX_VIEWS,
        )))
    }

    /// What is open, and who looks at it.
    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0
    }

    /// The way of a principal's questions; his name is shown with them, if there are others.
    pub(crate) fn channel(&self, asker: Option<String>) -> Arc<dyn Channel> {
        Arc::new(DeskChannel { hub: Arc::clone(&self.0), asker })
    }
}

impl Channel for DeskChannel {
    fn name(&self) -> &'static str {
        "web"
    }

    fn reach(&self) -> Result<(), String> {
        if self.hub.is_watched() { Ok(()) } else { Err("nobody looks at the server's page /approve".into()) }
    }

    fn watches(&self) -> bool {
        true
    }

    fn deserted(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.hub.deserted()
    }

    fn ask(self: Arc<Self>, open: Arc<OpenQuestion>) -> ReplyFuture {
        Arc::clone(&self.hub).ask(open, self.asker.clone())
    }
}
