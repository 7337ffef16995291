//! The view as it runs: it draws, waits for a key or for news, and passes on what the person decides.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::sync::mpsc;

use super::super::precedent::Precedents;
use super::super::servers::{Servers, ServersAt};
use super::draw;
use super::style::{Look, Style};
use super::view_state::{ViewState, Wish};
use crate::told_to_end::told_to_end;
use shell_engine::user_command::user_command_name;

/// How often what moves is drawn anew.
const TICK: Duration = Duration::from_millis(500);

/// Why the view cannot be shown, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// There is nobody to look at it.
    #[error(
        "standard input and output must be a terminal: questions are shown there and answered by keys. \
         For scripts there is `{} approve --json`",
        user_command_name()
    )]
    NoTerminal,
    /// The terminal does not do as it is told.
    #[error("cannot use the terminal")]
    Terminal(#[source] io::Error),
    /// The signals that end the view cannot be heard.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

/// Shows the questions of the user's servers, and passes on what the person decides, until they leave.
///
/// # Errors
///
/// When standard input or output is not a terminal, or the terminal breaks.
pub async fn approve_on_screen(servers: &ServersAt, look: Look) -> Result<(), ScreenError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(ScreenError::NoTerminal);
    }
    let mut screen = Screen {
        view: ViewState::new(),
        servers: Servers::new(servers),
        precedents: Precedents::default(),
        style: Style::new(look),
    };
    let terminal = ratatui::try_init().map_err(ScreenError::Terminal)?;
    let shown = screen.show(terminal, look).await;
    ratatui::restore();
    shown
}

struct Screen {
    view: ViewState,
    servers: Servers,
    precedents: Precedents,
    style: Style,
}

impl Screen {
    async fn show(&mut self, mut terminal: DefaultTerminal, look: Look) -> Result<(), ScreenError> {
        // The terminal is given back as it was.
        let told_to_end = told_to_end().map_err(ScreenError::Signals)?;
        tokio::pin!(told_to_end);
        let mut keys = read_events();
        loop {
            let now = Instant::now();
            terminal
                .draw(|frame| draw::draw(frame, &mut self.view, &self.style, now))
                .map_err(ScreenError::Terminal)?;
            // Answers are taken a moment after a question has come to the front; that has to be seen too.
            let wake = match self.view.calm_in(now) {
                Some(rest) => Some(rest),
                None => look.animations.then_some(TICK),
            };
            let sleep = async {
                match wake {
                    Some(rest) => tokio::time::sleep(rest).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut told_to_end => return Ok(()),
                () = sleep => self.view.tick(),
                news = self.servers.next() => self.view.hear(news, &mut self.precedents, Instant::now()),
                event = keys.recv() => match event {
                    Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                        match self.view.press(key, Instant::now()) {
                            Wish::Nothing => {}
                            Wish::Leave => return Ok(()),
                            Wish::Answer { server, id, choice, reason } => {
                                self.servers.answer(server, &id, choice, reason);
                            }
                        }
                    }
                    Some(Ok(_)) => {} // A resize, for example: drawn anew.
                    Some(Err(error)) => return Err(ScreenError::Terminal(error)),
                    None => return Ok(()),
                },
            }
        }
    }
}

/// Reads what is typed in a thread of its own, which ends with the process.
fn read_events() -> mpsc::Receiver<io::Result<Event>> {
    let (sender, receiver) = mpsc::channel(64);
    std::thread::spawn(move || {
        loop {
            let event = event::read();
            let last = event.is_err();
            if sender.blocking_send(event).is_err() || last {
                break;
            }
        }
    });
    receiver
}
