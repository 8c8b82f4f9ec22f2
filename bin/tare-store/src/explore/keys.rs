//! The keys, and what they do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tree::ChangeKind;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Quit,
    Help,
    NextPart,
    PreviousPart,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Collapse,
    Expand,
    Toggle,
    CollapseAll,
    /// The whole tree, or the layer's changes alone.
    Cumulative,
    Attributes,
    Filter,
    Show(Option<ChangeKind>),
    Open,
    Back,
}

/// The keys as they are shown, with what they do.
pub(super) const HELP: &[(&str, &str)] = &[
    ("Tab", "next part: layers, files, waste"),
    ("↑ ↓ k j", "move; PgUp PgDn Home End too"),
    ("← → h l", "collapse, expand a directory"),
    ("Space", "collapse or expand it"),
    ("Z", "collapse or expand all"),
    ("c", "all files, or this layer's changes"),
    ("a m d u", "show added, changed, deleted, same"),
    ("/", "filter by a part of the path"),
    ("p", "permissions and owners"),
    ("Enter", "show a file's content"),
    ("Esc", "back, end the filter"),
    ("q", "quit"),
];

/// The keys that matter most, for the line at the bottom.
pub(super) const SHORT: &str =
    "q quit  ? keys  Tab part  ←→ fold  c changes  / filter  p owners  Enter view";

impl Command {
    /// What a key means when no text is typed.
    pub(super) fn of(key: KeyEvent) -> Option<Self> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        Some(match key.code {
            KeyCode::Char('c') if control => Self::Quit,
            KeyCode::Char('f') if control => Self::PageDown,
            KeyCode::Char('b') if control => Self::PageUp,
            KeyCode::Char(_) if control => return None,
            KeyCode::Char('q') => Self::Quit,
            KeyCode::Char('?') | KeyCode::F(1) => Self::Help,
            KeyCode::Tab => Self::NextPart,
            KeyCode::BackTab => Self::PreviousPart,
            KeyCode::Up | KeyCode::Char('k') => Self::Up,
            KeyCode::Down | KeyCode::Char('j') => Self::Down,
            KeyCode::PageUp => Self::PageUp,
            KeyCode::PageDown => Self::PageDown,
            KeyCode::Home | KeyCode::Char('g') => Self::First,
            KeyCode::End | KeyCode::Char('G') => Self::Last,
            KeyCode::Left | KeyCode::Char('h') => Self::Collapse,
            KeyCode::Right | KeyCode::Char('l') => Self::Expand,
            KeyCode::Char(' ') => Self::Toggle,
            KeyCode::Char('Z') => Self::CollapseAll,
            KeyCode::Char('c') => Self::Cumulative,
            KeyCode::Char('p') => Self::Attributes,
            KeyCode::Char('/') => Self::Filter,
            KeyCode::Char('a') => Self::Show(Some(ChangeKind::Added)),
            KeyCode::Char('m') => Self::Show(Some(ChangeKind::Modified)),
            KeyCode::Char('d') => Self::Show(Some(ChangeKind::Removed)),
            KeyCode::Char('u') => Self::Show(None),
            KeyCode::Enter => Self::Open,
            KeyCode::Esc => Self::Back,
            _ => return None,
        })
    }
}
