//! What the view knows, and what keys do. Pure: no terminal, no socket.

#![expect(clippy::wildcard_enum_match_arm, reason = "a keyboard has more keys than are used here")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::connection::ShownConnection;
use super::super::precedent::{Difference, Precedents};
use super::super::question::ShownQuestion;
use super::super::servers::{News, Server, ServerId};
use shell_engine::approval::Choice;

/// For so long after a question has come to the front by itself, keys do not answer it: they were meant for another
/// one.
const CALM: Duration = Duration::from_millis(500);

/// Characters of a reason.
const MAX_REASON: usize = 500;

/// Everything that is on the screen.
pub(super) struct ViewState {
    pub(super) servers: BTreeMap<ServerId, Server>,
    pub(super) questions: Vec<Entry>,
    /// The connections that are open, and how many more.
    pub(super) connections: BTreeMap<ServerId, (Vec<ShownConnection>, usize)>,
    chosen: Option<Name>,
    pub(super) mode: Mode,
    /// Lines of the chosen question that are above its window.
    pub(super) scroll: usize,
    /// What has just happened.
    pub(super) note: Option<String>,
    /// Moments that were counted, for what turns.
    pub(super) ticks: usize,
    /// When the chosen question came to the front by itself.
    since: Instant,
}

/// A question's name: its server's, and its own.
type Name = (ServerId, String);

/// A question in the list.
pub(super) struct Entry {
    pub(super) server: ServerId,
    pub(super) question: ShownQuestion,
    pub(super) before: Option<Difference>,
}

/// What keys are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Choosing a question and an answer.
    Choosing,
    /// A rule is about to be written: this one of those on offer.
    Confirming(usize),
    /// A refusal is about to be sent, with this reason.
    Refusing(String),
    /// The view is about to be left although questions are open.
    Leaving,
    /// What keys do is shown.
    Helping,
}

/// What a key asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Leave,
    Answer { server: ServerId, id: String, choice: Choice, reason: Option<String> },
}

impl Entry {
    fn name(&self) -> Name {
        (self.server, self.question.id.clone())
    }
}

impl ViewState {
    pub(super) fn new() -> ViewState {
        ViewState {
            servers: BTreeMap::new(),
            questions: Vec::new(),
            connections: BTreeMap::new(),
            chosen: None,
            mode: Mode::Choosing,
            scroll: 0,
            note: None,
            ticks: 0,
            since: Instant::now(),
        }
    }

    /// The question that keys are about, and its place in the list.
    pub(super) fn chosen(&self) -> Option<(usize, &Entry)> {
        let chosen = self.chosen.as_ref()?;
        self.questions.iter().enumerate().find(|(_, entry)| entry.name() == *chosen)
    }

    /// How many connections are open.
    pub(super) fn connected(&self) -> usize {
        self.connections.values().map(|(open, left_out)| open.len().saturating_add(*left_out)).sum()
    }

    /// How long it takes until answers count; `None`: they do.
    pub(super) fn calm_in(&self, now: Instant) -> Option<Duration> {
        self.chosen.as_ref()?;
        CALM.checked_sub(now.saturating_duration_since(self.since)).filter(|rest| !rest.is_zero())
    }

    /// A moment has passed.
    pub(super) fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
    }

    /// Something has happened at a server.
    pub(super) fn hear(&mut self, news: News, precedents: &mut Precedents, now: Instant) {
        match news {
            News::Came(id, server) => drop(self.servers.insert(id, server)),
            News::Went(id) => {
                self.servers.remove(&id);
                self.connections.remove(&id);
                self.remove(|entry| entry.server == id, "The server that asked has ended.", now);
            }
            News::Asked(server, question) => {
                let question = *question;
                let run_at = self.servers.get(&server).filter(|_| question.wish.is_none());
                let before = run_at.and_then(|known| {
                    let ShownQuestion { program, arguments, workdir, .. } = &question;
                    precedents.compare(known.codex_home.as_deref()?, program, arguments, workdir)
                });
                self.questions.push(Entry { server, question, before });
                if self.chosen.is_none() {
                    self.come_to_front(0, now);
                }
            }
            News::Closed(server, id) => {
                let gone = |entry: &Entry| entry.server == server && entry.question.id == id;
                self.remove(gone, "The question needs no answer any more.", now);
            }
            News::Connections(server, open, left_out) => {
                self.connections.insert(server, (open, left_out));
            }
            News::Trouble(text) => self.note = Some(text),
        }
    }

    fn remove(&mut self, gone: impl Fn(&Entry) -> bool, note: &str, now: Instant) {
        let chosen = self.chosen().map(|(place, entry)| (place, gone(entry)));
        self.questions.retain(|entry| !gone(entry));
        if let Some((place, true)) = chosen {
            self.note = Some(note.to_owned());
            self.come_to_front(place, now);
        }
    }

    /// The question at this place, or the last one, comes to the front without the person's doing.
    fn come_to_front(&mut self, place: usize, now: Instant) {
        self.turn_to(place.min(self.questions.len().saturating_sub(1)));
        self.since = now;
    }

    fn turn_to(&mut self, place: usize) {
        self.chosen = self.questions.get(place).map(Entry::name);
        self.mode = Mode::Choosing;
        self.scroll = 0;
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent, now: Instant) -> Wish {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Wish::Leave;
        }
        if control || key.modifiers.contains(KeyModifiers::ALT) {
            return Wish::Nothing;
        }
        match &mut self.mode {
            Mode::Choosing => self.press_while_choosing(key.code, now),
            Mode::Confirming(rule) => {
                let rule = *rule;
                self.press_while_confirming(key.code, rule, now)
            }
            Mode::Refusing(reason) => match key.code {
                KeyCode::Enter => {
                    let reason = Some(reason.trim().to_owned()).filter(|reason| !reason.is_empty());
                    self.answer(Choice::Deny, reason, now)
                }
                KeyCode::Esc => self.back(),
                KeyCode::Backspace => {
                    reason.pop();
                    Wish::Nothing
                }
                KeyCode::Char(character) => {
                    if reason.chars().count() < MAX_REASON {
                        reason.push(character);
                    }
                    Wish::Nothing
                }
                _ => Wish::Nothing,
            },
            Mode::Leaving => match key.code {
                KeyCode::Char('q' | 'y') | KeyCode::Enter => Wish::Leave,
                _ => self.back(),
            },
            Mode::Helping => match key.code {
                KeyCode::PageDown | KeyCode::Down | KeyCode::Char(' ') => {
                    self.scroll = self.scroll.saturating_add(5);
                    Wish::Nothing
                }
                KeyCode::PageUp | KeyCode::Up => {
                    self.scroll = self.scroll.saturating_sub(5);
                    Wish::Nothing
                }
                _ => self.back(),
            },
        }
    }

    fn press_while_choosing(&mut self, key: KeyCode, now: Instant) -> Wish {
        let place = self.chosen().map(|(place, _)| place).unwrap_or_default();
        let last = self.questions.len().saturating_sub(1);
        match key {
            KeyCode::Char('q') if self.questions.is_empty() => return Wish::Leave,
            KeyCode::Char('q') => self.mode = Mode::Leaving,
            KeyCode::Char('?') => {
                self.mode = Mode::Helping;
                self.scroll = 0;
            }
            KeyCode::Down | KeyCode::Char('j') | KeyCode::Tab => self.turn_to((place + 1).min(last)),
            KeyCode::Up | KeyCode::Char('k') | KeyCode::BackTab => self.turn_to(place.saturating_sub(1)),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll = self.scroll.saturating_add(5),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(5),
            KeyCode::Home => self.scroll = 0,
            KeyCode::End => self.scroll = usize::MAX,
            KeyCode::Char(letter @ ('o' | 's' | 'a' | 'i' | 'd' | 'e')) => {
                return self.press_answer(letter, now);
            }
            _ => {}
        }
        Wish::Nothing
    }

    fn press_while_confirming(&mut self, key: KeyCode, rule: usize, now: Instant) -> Wish {
        let rules = self.chosen().map(|(_, entry)| entry.question.rules.as_slice()).unwrap_or_default();
        let last = rules.len().saturating_sub(1);
        match key {
            KeyCode::Enter | KeyCode::Char('y') => {
                let choice = rules.get(rule).and_then(|rule| Choice::from_word(&rule.decision));
                return match choice {
                    Some(choice) if choice.makes_a_rule() => self.answer(choice, None, now),
                    Some(_) | None => self.back(),
                };
            }
            KeyCode::Esc | KeyCode::Char('n') => return self.back(),
            // The rules come with the longest first.
            KeyCode::Left => self.consider((rule + 1).min(last)),
            KeyCode::Right => self.consider(rule.saturating_sub(1)),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll = self.scroll.saturating_add(5),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(5),
            _ => {}
        }
        Wish::Nothing
    }

    /// This one of the rules on offer is shown, to be confirmed.
    fn consider(&mut self, rule: usize) {
        self.mode = Mode::Confirming(rule);
        self.scroll = 0;
    }

    fn press_answer(&mut self, letter: char, now: Instant) -> Wish {
        let choice = match letter {
            'o' => Choice::Once,
            's' => Choice::Session,
            'a' => Choice::Always,
            'i' => Choice::Inside,
            'e' => Choice::End,
            _ => Choice::Deny,
        };
        let Some((_, entry)) = self.chosen() else { return Wish::Nothing };
        if !entry.question.offers(choice) {
            self.note = Some(format!("\"{}\" is not on offer for this question.", choice.word()));
            return Wish::Nothing;
        }
        if self.calm_in(now).is_some() {
            self.note =
                Some("The question has only just come to the front: read it, then press again.".into());
            return Wish::Nothing;
        }
        self.note = None;
        match choice {
            Choice::Once | Choice::Session | Choice::Inside | Choice::End => self.answer(choice, None, now),
            Choice::Always
            | Choice::AlwaysFirst(_)
            | Choice::SessionFirst(_)
            | Choice::Project(_)
            | Choice::Hour(_) => {
                self.consider(0);
                Wish::Nothing
            }
            Choice::Deny => {
                self.mode = Mode::Refusing(String::new());
                Wish::Nothing
            }
        }
    }

    fn back(&mut self) -> Wish {
        self.mode = Mode::Choosing;
        self.scroll = 0;
        Wish::Nothing
    }

    fn answer(&mut self, choice: Choice, reason: Option<String>, now: Instant) -> Wish {
        let Some((place, entry)) = self.chosen() else { return self.back() };
        let (server, id) = entry.name();
        let done = match choice {
            Choice::Once => "Allowed once",
            Choice::Inside => "Allowed once, inside only",
            Choice::Session | Choice::SessionFirst(_) => "Allowed for the session",
            Choice::Always | Choice::AlwaysFirst(_) => "Allowed from now on",
            Choice::Project(_) => "Allowed in this project from now on",
            Choice::Hour(_) => "Allowed for one hour",
            Choice::Deny => "Denied",
            Choice::End => "Denied, and the call ended",
        };
        let command: String = entry.question.in_short().chars().take(60).collect();
        self.note = Some(format!("{done}: {command}"));
        self.questions.remove(place);
        self.come_to_front(place, now);
        Wish::Answer { server, id, choice, reason }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::question::ShownRule;
    use super::*;

    fn rule((decision, begins_with): (&str, &str)) -> ShownRule {
        let words: Vec<&str> = begins_with.split(' ').collect();
        ShownRule {
            decision: decision.into(),
            begins_with: begins_with.into(),
            rule: format!("prefix_rule(pattern={words:?}, decision=\"allow\")"),
        }
    }

    pub(in super::super) fn question(id: &str, command: &str) -> News {
        News::Asked(
            0,
            Box::new(ShownQuestion {
                id: id.into(),
                message: String::new(),
                wish: None,
                command: command.into(),
                program: "/bin/tool".into(),
                arguments: command.split(' ').skip(1).map(str::to_owned).collect(),
                left_out: 0,
                workdir: "/work".into(),
                rule: Some("/home/u/.codex/rules/default.rules:3".into()),
                why: Some("goes public".into()),
                details: vec!["Careful: it is also known as `other`.".into()],
                choices: ["once", "session", "always", "always:2", "deny"].map(String::from).into(),
                rules: [("always", "tool a b"), ("always:2", "tool a")].map(rule).into(),
                since_ms: 0,
            }),
        )
    }

    pub(in super::super) fn view(questions: &[News]) -> (ViewState, Instant) {
        let (mut view, now) = (ViewState::new(), Instant::now());
        let server = Server { process: 4711, folder: "/work".into(), codex_home: None };
        view.hear(News::Came(0, server), &mut Precedents::default(), now);
        for news in questions {
            let News::Asked(server, shown) = news else { continue };
            let news = News::Asked(*server, shown.clone());
            view.hear(news, &mut Precedents::default(), now);
        }
        (view, now)
    }

    pub(in super::super) fn key(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    fn type_in(view: &mut ViewState, text: &str, now: Instant) {
        for character in text.chars() {
            assert_eq!(view.press(key(KeyCode::Char(character)), now), Wish::Nothing);
        }
    }

    fn answer(id: &str, choice: Choice, reason: Option<&str>) -> Wish {
        Wish::Answer { server: 0, id: id.into(), choice, reason: reason.map(Into::into) }
    }

    #[test]
    fn each_answer_has_its_key() {
        let four = ["1", "2", "3", "4"].map(|id| question(id, "tool"));
        let (mut view, now) = view(&four);
        let later = |count: u32| now + CALM * count;
        assert_eq!(view.press(key(KeyCode::Char('o')), later(1)), answer("1", Choice::Once, None));
        assert_eq!(view.press(key(KeyCode::Char('s')), later(2)), answer("2", Choice::Session, None));
        assert_eq!(view.press(key(KeyCode::Char('a')), later(3)), Wish::Nothing);
        assert_eq!(view.mode, Mode::Confirming(0));
        assert_eq!(view.press(key(KeyCode::Char('o')), later(3)), Wish::Nothing);
        assert_eq!(view.press(key(KeyCode::Enter), later(3)), answer("3", Choice::Always, None));
        type_in(&mut view, "dnot noww", later(4));
        view.press(key(KeyCode::Backspace), later(4));
        assert_eq!(view.press(key(KeyCode::Enter), later(4)), answer("4", Choice::Deny, Some("not now")));
        assert!(view.questions.is_empty() && view.chosen().is_none());
        assert_eq!(view.press(key(KeyCode::Char('o')), later(5)), Wish::Nothing);
        assert_eq!(view.press(key(KeyCode::Char('q')), later(5)), Wish::Leave);
    }

    #[test]
    fn arrows_choose_among_the_rules_on_offer_and_no_others() {
        let (mut view, now) = view(&[question("1", "tool a b")]);
        let later = now + CALM;
        for (code, rule) in [
            (KeyCode::Char('a'), 0),
            (KeyCode::Left, 1),
            (KeyCode::Left, 1),
            (KeyCode::Right, 0),
            (KeyCode::Right, 0),
            (KeyCode::Left, 1),
        ] {
            assert_eq!(view.press(key(code), later), Wish::Nothing);
            assert_eq!(view.mode, Mode::Confirming(rule), "{code:?}");
        }
        view.press(key(KeyCode::Esc), later);
        view.press(key(KeyCode::Left), later);
        assert_eq!(view.mode, Mode::Choosing);
        type_in(&mut view, "a", later);
        assert_eq!(view.mode, Mode::Confirming(0), "it begins with the narrowest again");
        view.press(key(KeyCode::Left), later);
        assert_eq!(view.press(key(KeyCode::Enter), later), answer("1", Choice::AlwaysFirst(2), None));
    }

    #[test]
    fn a_key_does_not_answer_a_question_that_has_just_come_to_the_front() {
        let (mut view, now) = view(&[question("1", "tool"), question("2", "tool")]);
        assert_eq!(view.press(key(KeyCode::Char('o')), now), Wish::Nothing);
        let later = now + CALM;
        assert_eq!(view.press(key(KeyCode::Char('o')), later), answer("1", Choice::Once, None));
        assert_eq!(view.press(key(KeyCode::Char('o')), later), Wish::Nothing, "the key was pressed twice");
        assert_eq!(view.press(key(KeyCode::Char('o')), later + CALM), answer("2", Choice::Once, None));
    }

    #[test]
    fn a_question_that_goes_takes_what_was_begun_with_it() {
        let (mut view, now) = view(&[question("1", "tool"), question("2", "tool")]);
        let later = now + CALM;
        type_in(&mut view, "dbecause", later);
        view.hear(News::Closed(0, "1".into()), &mut Precedents::default(), later);
        assert_eq!(view.mode, Mode::Choosing);
        assert_eq!(view.press(key(KeyCode::Enter), later + CALM), Wish::Nothing);
        assert_eq!(view.press(key(KeyCode::Char('o')), later + CALM), answer("2", Choice::Once, None));
        view.hear(News::Went(0), &mut Precedents::default(), later);
        assert!(view.servers.is_empty());
    }

    #[test]
    fn the_chosen_question_stays_when_others_come_and_go() {
        let (mut view, now) = view(&[question("1", "a"), question("2", "b"), question("3", "c")]);
        view.press(key(KeyCode::Down), now);
        view.hear(News::Closed(0, "1".into()), &mut Precedents::default(), now);
        view.hear(question("4", "d"), &mut Precedents::default(), now);
        let later = now + CALM;
        assert_eq!(view.press(key(KeyCode::Char('s')), later), answer("2", Choice::Session, None));
    }

    #[test]
    fn leaving_an_open_question_takes_a_second_key() {
        let (mut view, now) = view(&[question("1", "tool")]);
        let press = |view: &mut ViewState, code| view.press(key(code), now);
        for stay in [KeyCode::Esc, KeyCode::Char('o')] {
            assert_eq!(press(&mut view, KeyCode::Char('q')), Wish::Nothing);
            assert_eq!(view.mode, Mode::Leaving);
            assert_eq!(press(&mut view, stay), Wish::Nothing);
            assert_eq!(view.mode, Mode::Choosing);
        }
        assert_eq!(press(&mut view, KeyCode::Char('?')), Wish::Nothing);
        assert_eq!(view.mode, Mode::Helping);
        assert_eq!(press(&mut view, KeyCode::Char('q')), Wish::Nothing, "closes the help");
        assert_eq!(press(&mut view, KeyCode::Char('q')), Wish::Nothing);
        assert_eq!(press(&mut view, KeyCode::Char('q')), Wish::Leave);
    }

    #[test]
    fn what_is_not_on_offer_is_no_answer() {
        let News::Asked(_, mut shown) = question("1", "tool") else { panic!("a question") };
        shown.choices = vec!["once".into(), "deny".into()];
        let (mut view, now) = view(&[News::Asked(0, shown)]);
        for letter in ['a', 's'] {
            assert_eq!(view.press(key(KeyCode::Char(letter)), now + CALM), Wish::Nothing);
            assert_eq!(view.mode, Mode::Choosing);
        }
    }
}
