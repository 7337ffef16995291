//! Draws the view: the list of questions, the chosen one in full, what keys do.

use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph};

use super::lines;
use super::style::Style;
use super::view_state::{Entry, Mode, ViewState};
use shell_engine::approval::Choice;
use shell_engine::user_command::user_command_name;

/// Rows of the list at most; it is scrolled.
const MAX_LISTED: u16 = 6;

/// In a window with fewer rows the list has one, without a frame: the question needs the room.
const LOW: u16 = 14;

/// In a window with fewer columns what keys do is said in fewer words.
const NARROW: u16 = 70;

const TURNING: [char; 4] = ['|', '/', '-', '\\'];

/// Draws everything. Sets how far the question can be scrolled.
pub(super) fn draw(frame: &mut Frame<'_>, view: &mut ViewState, style: &Style, now: Instant) {
    let area = frame.area();
    if area.width < 40 || area.height < 10 {
        frame.render_widget(
            Paragraph::new("This window is too small: 40 columns and 10 rows are needed."),
            area,
        );
        return;
    }
    let most = if area.height < LOW { 1 } else { MAX_LISTED };
    let listed = u16::try_from(view.questions.len()).unwrap_or(most).clamp(1, most);
    let frames = if area.height < LOW { 0 } else { 2 };
    let [title, list, detail, note, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(listed + frames),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Line::from(heading(view, area.width)), title);
    draw_list(frame, list, view, style);
    draw_detail(frame, detail, view, style);
    if let Some(text) = &view.note {
        frame.render_widget(Line::styled(text.clone(), style.warning), note);
    }
    frame.render_widget(footer(view, style, now, area.width), keys);
}

fn heading(view: &ViewState, width: u16) -> String {
    let count = |number: usize, one: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    };
    let mut counted =
        format!("{}, {}", count(view.questions.len(), "question"), count(view.servers.len(), "server"));
    if view.connected() > 0 {
        counted = format!("{counted}, {}", count(view.connected(), "connection"));
    }
    let heading = format!("{} approve: {counted}", user_command_name());
    if heading.chars().count() > usize::from(width) { counted } else { heading }
}

fn draw_list(frame: &mut Frame<'_>, area: Rect, view: &ViewState, style: &Style) {
    let block = if area.height > 1 { Block::bordered().title("Open questions") } else { Block::new() };
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if view.questions.is_empty() {
        let turning = TURNING.get(view.ticks % TURNING.len()).copied().unwrap_or('.');
        let sign = if style.animations { turning } else { '.' };
        let text = if view.servers.is_empty() {
            format!("No server is running. Waiting for one {sign}")
        } else {
            format!("Waiting for questions {sign}")
        };
        frame.render_widget(Line::from(text), inner);
        return;
    }
    let chosen = view.chosen().map(|(place, _)| place).unwrap_or_default();
    let rows = usize::from(inner.height);
    let first = (chosen + 1).saturating_sub(rows);
    for (row, (place, entry)) in inner.rows().zip(view.questions.iter().enumerate().skip(first)) {
        let mark = if place == chosen { '>' } else { ' ' };
        let painted = if place == chosen { style.chosen } else { style.plain };
        let text = format!("{mark} {}{}", age(entry, style), entry.question.in_short());
        frame.render_widget(Line::styled(text, painted), row);
    }
}

/// How long the question has been open; a number that counts is something that moves.
fn age(entry: &Entry, style: &Style) -> String {
    if !style.animations {
        return String::new();
    }
    let age: Duration = entry.question.age();
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds:>3} s  "),
        seconds @ 60..3600 => format!("{:>3} m  ", seconds / 60),
        seconds => format!("{:>3} h  ", seconds / 3600),
    }
}

fn draw_detail(frame: &mut Frame<'_>, area: Rect, view: &mut ViewState, style: &Style) {
    let width = usize::from(area.width.saturating_sub(2));
    let (title, lines) = match (&view.mode, view.chosen()) {
        (Mode::Helping, _) => ("Keys".to_owned(), lines::help(style, width)),
        (_, None) if view.connected() > 0 => {
            ("Open connections".to_owned(), lines::connections(view, style, width))
        }
        (_, None) => (String::new(), Vec::new()),
        (mode, Some((place, entry))) => {
            let server = view.servers.get(&entry.server);
            let server = server.map(|server| format!("{}, started in {}", server.process, server.folder));
            let mut lines = match mode {
                Mode::Confirming(rule) => lines::rule(entry, *rule, style, width),
                Mode::Choosing | Mode::Refusing(_) | Mode::Leaving | Mode::Helping => Vec::new(),
            };
            lines.extend(lines::question(entry, server.as_deref(), style, width));
            (format!("Question {} of {}", place + 1, view.questions.len()), lines)
        }
    };
    let mut block = Block::bordered().title(title);
    let inner = block.inner(area);
    let rows = usize::from(inner.height);
    let hidden = lines.len().saturating_sub(rows);
    let scroll = view.scroll.min(hidden);
    if hidden > 0 {
        let below = hidden - scroll;
        let more = format!("{scroll} lines above, {below} below: PgUp, PgDn");
        block = block.title_bottom(Line::styled(more, style.warning));
    }
    frame.render_widget(block, area);
    let window: Vec<Line<'_>> = lines.into_iter().skip(scroll).take(rows).collect();
    frame.render_widget(Paragraph::new(window), inner);
    view.scroll = scroll;
}

fn footer<'b>(view: &'b ViewState, style: &Style, now: Instant, width: u16) -> Line<'b> {
    let narrow = width < NARROW;
    let key = |key: &'static str, wide: &'static str, short: &'static str| {
        [Span::styled(key, style.key), Span::styled(if narrow { short } else { wide }, style.plain)]
    };
    let told = |wide: &'static str, short: &'static str| {
        Span::styled(if narrow { short } else { wide }, style.warning)
    };
    let mut spans = Vec::new();
    match &view.mode {
        Mode::Confirming(_) => {
            spans.push(told("Add this rule?  ", "Add it? "));
            spans.extend(key("Enter", " add it and allow  ", " yes "));
            spans.extend(key("Esc", " back  ", " no "));
            if view.chosen().is_some_and(|(_, entry)| entry.question.rules.len() > 1) {
                spans.extend(key("←→", " other rules", " other"));
            }
        }
        Mode::Refusing(reason) => {
            // The end of a long reason is what is being typed.
            let room = usize::from(width).saturating_sub(if narrow { 31 } else { 50 });
            let skipped = reason.chars().count().saturating_sub(room);
            let shown: String = reason.chars().skip(skipped).collect();
            spans.extend([told("Deny, because: ", "Because: "), Span::raw(shown), Span::raw("_  ")]);
            spans.extend(key("Enter", " deny  ", " deny "));
            spans.extend(key("Esc", " back", ""));
        }
        Mode::Leaving => {
            let open = match view.questions.len() {
                1 => "1 question is open.".to_owned(),
                number => format!("{number} questions are open."),
            };
            spans.push(Span::styled(open, style.warning));
            spans.push(told(" Leave them unanswered?  ", " "));
            spans.extend(key("q", " leave  ", " leave "));
            spans.extend(key("Esc", " stay", " stay"));
        }
        Mode::Helping => spans.extend(key("Esc", " back", " back")),
        Mode::Choosing => {
            let offered = |choice| view.chosen().is_some_and(|(_, entry)| entry.question.offers(choice));
            if view.chosen().is_some() && view.calm_in(now).is_some() {
                spans.push(told("A new question: read it …  ", "A new question … "));
            } else {
                for (letter, wide, short, choice) in [
                    ("o", " once  ", " once ", Choice::Once),
                    ("s", " session  ", " session ", Choice::Session),
                    ("a", " always…  ", " always ", Choice::Always),
                    ("i", " inside  ", " inside ", Choice::Inside),
                    ("d", " deny…  ", " deny ", Choice::Deny),
                    ("e", " end call  ", " end ", Choice::End),
                ] {
                    if offered(choice) {
                        spans.extend(key(letter, wide, short));
                    }
                }
            }
            if view.questions.len() > 1 && !narrow {
                spans.extend(key("↑↓", " choose  ", ""));
            }
            spans.extend(key("?", " help  ", " "));
            spans.extend(key("q", " leave", ""));
        }
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::super::connection::ShownConnection;
    use super::super::super::precedent::Precedents;
    use super::super::super::servers::News;
    use super::super::style::Look;
    use super::super::view_state::tests::{question, view};
    use super::*;

    fn drawn(view: &mut ViewState, look: Look, now: Instant) -> String {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a screen");
        terminal.draw(|frame| draw(frame, view, &Style::new(look), now)).expect("drawn");
        terminal.backend().to_string()
    }

    const STILL: Look = Look { animations: false, colors: false };

    #[test]
    fn a_question_is_whole_on_a_small_screen() {
        let (mut view, now) = view(&[question("1", "tool push origin main")]);
        let screen = drawn(&mut view, STILL, now + Duration::from_secs(1));
        for text in [
            "1 question, 1 server",
            "> tool push origin main",
            "Run      tool push origin main",
            "In       /work",
            "Reason   goes public",
            "Rule     /home/u/.codex/rules/default.rules:3",
            "Note     Careful: it is also known as `other`.",
            "Always   would add: prefix_rule(pattern=[\"tool\", \"a\", \"b\"], decision=\"allow\")",
            "Server   4711, started in /work",
            "o once  s session  a always…  d deny…  ? help  q leave",
        ] {
            assert!(screen.contains(text), "{text:?} is not in\n{screen}");
        }
    }

    #[test]
    fn what_is_more_than_a_run_is_named_first() {
        let News::Asked(server, mut shown) = question("1", "tool fetch") else { panic!("a question") };
        shown.wish = Some("connect to `good.example:443`".into());
        let (mut view, now) = view(&[News::Asked(server, shown)]);
        let screen = drawn(&mut view, STILL, now + Duration::from_secs(1));
        for text in [
            "> connect to `good.example:443` by tool fetch",
            "Allow to connect to `good.example:443`",
            "By       tool fetch",
        ] {
            assert!(screen.contains(text), "{text:?} is not in\n{screen}");
        }
        assert!(!screen.contains("Before") && !screen.contains("Run"), "{screen}");
    }

    #[test]
    fn open_connections_are_shown_where_no_question_is() {
        let (mut view, now) = view(&[]);
        let open = |host: &str| ShownConnection {
            host: host.into(),
            port: 443,
            program: "/usr/bin/curl".into(),
            allowed: "the rule r:1".into(),
            sent: 12,
            received: 3_400_000,
            seconds: 5,
        };
        let news = News::Connections(0, vec![open("a.test"), open("b.test")], 1);
        view.hear(news, &mut Precedents::default(), now);
        let screen = drawn(&mut view, STILL, now);
        for text in [
            "0 questions, 1 server, 3 connections",
            "Open connections",
            "a.test:443  sent 12 B, received 3.4 MB  5 s by /usr/bin/curl",
            "b.test:443",
            "1 more",
        ] {
            assert!(screen.contains(text), "{text:?} is not in\n{screen}");
        }
        view.hear(News::Connections(0, Vec::new(), 0), &mut Precedents::default(), now);
        assert!(drawn(&mut view, STILL, now).contains("0 questions, 1 server  "));
    }

    #[test]
    fn a_long_question_says_that_there_is_more_and_can_be_read_to_its_end() {
        let long = format!("tool {} THE-END", "x".repeat(3000));
        let (mut view, now) = view(&[question("1", &long)]);
        let screen = drawn(&mut view, STILL, now);
        assert!(screen.contains("0 lines above, ") && !screen.contains("THE-END"), "{screen}");
        view.scroll = usize::MAX;
        let screen = drawn(&mut view, STILL, now);
        assert!(screen.contains(" lines above, 0 below"), "{screen}");
        assert!(screen.contains("Server   4711"), "{screen}");
        let mut seen = String::new();
        for scroll in 0..60 {
            view.scroll = scroll;
            seen.push_str(&drawn(&mut view, STILL, now));
        }
        assert!(seen.contains("THE-END"));
    }

    #[test]
    fn the_rule_is_in_view_before_it_is_confirmed_however_long_the_question_is() {
        use ratatui::crossterm::event::KeyCode;
        let long = format!("tool a b {}", "x".repeat(3000));
        let (mut view, now) = view(&[question("1", &long)]);
        let later = now + Duration::from_secs(1);
        view.scroll = 20;
        for (code, pattern, of) in [
            (KeyCode::Char('a'), "\"tool\", \"a\", \"b\"", "rule 1 of 2, the longest"),
            (KeyCode::Left, "\"tool\", \"a\"", "rule 2 of 2)"),
        ] {
            view.press(super::super::view_state::tests::key(code), later);
            let screen = drawn(&mut view, STILL, later);
            for text in [
                &format!("Adds     prefix_rule(pattern=[{pattern}], decision="),
                "Allows   every command that starts with: tool a",
                of,
                "Add this rule?  Enter add it and allow  Esc back  ←→ other rules",
            ] {
                assert!(screen.contains(text), "{text:?} is not in\n{screen}");
            }
        }
    }

    #[test]
    fn forty_columns_and_ten_rows_are_enough() {
        let small = |view: &mut ViewState, now: Instant| {
            let mut terminal = Terminal::new(TestBackend::new(40, 10)).expect("a screen");
            terminal.draw(|frame| draw(frame, view, &Style::new(STILL), now)).expect("drawn");
            terminal.backend().to_string()
        };
        let (mut view, now) = view(&[question("1", "tool push origin main"), question("2", "tool b")]);
        let later = now + Duration::from_secs(1);
        let screen = small(&mut view, later);
        for text in [
            "2 questions, 1 server",
            "> tool push",
            "Run      tool push",
            "o once s session a always d deny ? q",
        ] {
            assert!(screen.contains(text), "{text:?} is not in\n{screen}");
        }
        for (typed, text) in [
            ("a", "Add it? Enter yes Esc no ←→ other"),
            ("n", "o once s session"),
            ("dnot like this, please", "Because: s, please_  Enter deny Esc"),
        ] {
            for letter in typed.chars().map(ratatui::crossterm::event::KeyCode::Char) {
                view.press(super::super::view_state::tests::key(letter), later);
            }
            let screen = small(&mut view, later);
            assert!(screen.contains(text), "{text:?} is not in\n{screen}");
        }
        view.mode = Mode::Leaving;
        assert!(small(&mut view, later).contains("2 questions are open. q leave Esc stay"));
        view.mode = Mode::Helping;
        assert!(small(&mut view, later).contains("o          allow this once"));
    }

    #[test]
    fn many_questions_are_listed_around_the_chosen_one() {
        let many: Vec<_> =
            (0..20).map(|number| question(&number.to_string(), &format!("tool {number}!"))).collect();
        let (mut view, now) = view(&many);
        assert!(drawn(&mut view, STILL, now).contains("> tool 0!"));
        for _ in 0..15 {
            view.press(super::super::view_state::tests::key(ratatui::crossterm::event::KeyCode::Down), now);
        }
        let screen = drawn(&mut view, STILL, now);
        assert!(screen.contains("> tool 15!") && !screen.contains("tool 3!"), "{screen}");
    }

    #[test]
    fn nothing_moves_unless_it_may_and_a_tiny_window_says_so() {
        let (mut view, now) = view(&[]);
        assert!(drawn(&mut view, STILL, now).contains("Waiting for questions ."));
        let moving = Look { animations: true, colors: false };
        assert!(drawn(&mut view, moving, now).contains("Waiting for questions |"));
        view.tick();
        assert!(drawn(&mut view, moving, now).contains("Waiting for questions /"));
        let mut terminal = Terminal::new(TestBackend::new(30, 5)).expect("a screen");
        terminal.draw(|frame| draw(frame, &mut view, &Style::new(STILL), now)).expect("drawn");
        assert!(terminal.backend().to_string().contains("too small"));
    }
}
