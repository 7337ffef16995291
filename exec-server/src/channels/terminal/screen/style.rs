//! Colours, or what says the same without them.

use ratatui::style::{Color, Modifier, Style as Painted};

/// How the view looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Something may move without a reason: a turning sign, a counting clock.
    pub animations: bool,
    /// Colours may be used.
    pub colors: bool,
}

/// What kind of text is painted how. Nothing is said by colour alone.
pub(super) struct Style {
    pub(super) animations: bool,
    pub(super) label: Painted,
    pub(super) key: Painted,
    pub(super) chosen: Painted,
    pub(super) new: Painted,
    pub(super) gone: Painted,
    pub(super) warning: Painted,
    pub(super) plain: Painted,
}

impl Style {
    pub(super) fn new(look: Look) -> Style {
        let plain = Painted::new();
        let tint = |style: Painted, color| if look.colors { style.fg(color) } else { style };
        let bold = plain.add_modifier(Modifier::BOLD);
        Style {
            animations: look.animations,
            label: tint(bold, Color::Cyan),
            key: tint(bold, Color::Green),
            chosen: plain.add_modifier(Modifier::REVERSED),
            new: tint(bold, Color::Green),
            gone: tint(plain.add_modifier(Modifier::CROSSED_OUT), Color::Red),
            warning: tint(bold, Color::Yellow),
            plain,
        }
    }
}
