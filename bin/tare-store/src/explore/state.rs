//! What the explorer shows, and what each key changes of it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tree::{LayerPath, NodeKind, Waste, WastedPath};

use super::files::{Choice, Visible};
use super::keys::Command;
use super::layers::Line;
use super::text::Text;
use crate::look::Opened;
use crate::look::listing::Listing;

/// A part of the screen that takes the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Layers,
    Files,
    Waste,
}

/// The whole state.
#[derive(Debug)]
pub(super) struct Explorer {
    pub(super) name: String,
    pub(super) layers: Vec<Line>,
    /// The layer that is shown, and in `waste` the path that is.
    pub(super) layer: usize,
    pub(super) part: Part,
    /// All files with the layer, or what it changed alone.
    pub(super) cumulative: bool,
    pub(super) attributes: Option<bool>,
    pub(super) listing: Listing,
    pub(super) visible: Visible,
    pub(super) choice: Choice,
    /// Whether what is typed goes to the filter.
    pub(super) typing: bool,
    pub(super) efficiency: f64,
    pub(super) waste: Vec<WastedPath>,
    pub(super) wasted: usize,
    pub(super) help: bool,
    pub(super) text: Option<Text>,
    /// What went wrong at the last key.
    pub(super) message: Option<String>,
    /// How many rows a page has; the view says.
    pub(super) page: std::cell::Cell<usize>,
    opened: Opened,
    done: bool,
}

impl Explorer {
    pub(super) fn new(name: &str, opened: Opened) -> anyhow::Result<Self> {
        let waste = Waste::of(opened.layers.all().iter().map(|layer| &layer.changeset))?;
        let layers = Line::all(&opened);
        let mut explorer = Self {
            name: name.to_owned(),
            layer: layers.len().saturating_sub(1),
            layers,
            part: Part::Layers,
            cumulative: true,
            attributes: None,
            listing: Listing::of(tree::Tree::new()),
            visible: Visible::default(),
            choice: Choice::default(),
            typing: false,
            efficiency: waste.efficiency,
            waste: waste.paths.into_iter().filter(|path| path.bytes > 0).collect(),
            wasted: 0,
            help: false,
            text: None,
            message: None,
            page: std::cell::Cell::new(10),
            opened,
            done: false,
        };
        explorer.list()?;
        Ok(explorer)
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The path under the cursor.
    pub(super) fn path(&self) -> Option<&LayerPath> {
        self.visible.chosen().map(|row| &self.listing.rows[row].path)
    }

    /// Bytes of all layers' files.
    pub(super) fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// Does what a key asks for.
    pub(super) fn press(&mut self, key: KeyEvent) -> anyhow::Result<()> {
        self.message = None;
        if self.typing {
            self.type_filter(key);
            return Ok(());
        }
        if self.help {
            self.help = false; // Whatever the key is, it says that they were read.
            return Ok(());
        }
        let Some(command) = Command::of(key) else { return Ok(()) };
        match self.text.take() {
            Some(text) => self.read_on(text, command),
            None => return self.obey(command),
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Quit => self.done = true,
            Command::Help => self.help = true,
            Command::NextPart => self.part = self.part.next(),
            Command::PreviousPart => self.part = self.part.next().next(),
            Command::Filter => self.typing = true,
            Command::Attributes => self.attributes = Some(!self.attributes.unwrap_or(false)),
            Command::Cumulative => {
                self.cumulative = !self.cumulative;
                self.list()?;
            }
            Command::Show(change) => {
                let shown = &mut self.choice.kinds[Choice::kind(change)];
                *shown = !*shown;
                self.choose();
            }
            Command::Collapse => self.collapse(),
            Command::Expand => self.expand(),
            Command::Toggle => self.toggle(),
            Command::CollapseAll => self.collapse_all(),
            Command::Open => self.open(),
            Command::Back if !self.choice.filter.is_empty() => {
                self.choice.filter.clear();
                self.choose();
            }
            Command::Back => {}
            Command::Up
            | Command::Down
            | Command::PageUp
            | Command::PageDown
            | Command::First
            | Command::Last => self.go(self.way(command))?,
        }
        Ok(())
    }

    /// How far a command goes.
    fn way(&self, command: Command) -> isize {
        let page = self.page.get().max(1) as isize;
        match command {
            Command::Up => -1,
            Command::Down => 1,
            Command::PageUp => -page,
            Command::PageDown => page,
            Command::First => isize::MIN,
            _ => isize::MAX,
        }
    }

    fn go(&mut self, by: isize) -> anyhow::Result<()> {
        let step =
            |at: usize, length: usize| at.saturating_add_signed(by).min(length.saturating_sub(1));
        match self.part {
            Part::Layers => {
                let layer = step(self.layer, self.layers.len());
                if layer != self.layer {
                    self.layer = layer;
                    self.list()?;
                }
            }
            Part::Files => self.visible.go(by),
            Part::Waste => self.wasted = step(self.wasted, self.waste.len()),
        }
        Ok(())
    }

    /// Lists the files of the layer.
    fn list(&mut self) -> anyhow::Result<()> {
        let at = self.path().cloned();
        if !self.layers.is_empty() {
            let listing = Listing::of_step(&self.opened, self.layer)?;
            self.listing = if self.cumulative { listing } else { listing.only_changed() };
        }
        self.visible = Visible::of(&self.listing, &self.choice, at.as_ref(), self.visible.cursor());
        Ok(())
    }

    /// Finds the visible rows anew.
    fn choose(&mut self) {
        let at = self.path().cloned();
        self.visible = Visible::of(&self.listing, &self.choice, at.as_ref(), self.visible.cursor());
    }

    fn type_filter(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => self.done = true,
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.choice.filter.clear();
            }
            KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.choice.filter.push(c);
            }
            KeyCode::Backspace => drop(self.choice.filter.pop()),
            KeyCode::Esc => {
                self.choice.filter.clear();
                self.typing = false;
            }
            KeyCode::Enter | KeyCode::Tab | KeyCode::Down | KeyCode::Up => {
                self.typing = false;
                self.part = Part::Files;
            }
            _ => {}
        }
        self.choose();
    }

    /// The directory under the cursor, in the files.
    fn directory(&self) -> Option<LayerPath> {
        let row = &self.listing.rows[self.visible.chosen()?];
        (self.part == Part::Files && self.listing.node(row).is_directory())
            .then(|| row.path.clone())
    }

    fn toggle(&mut self) {
        if let Some(path) = self.directory() {
            if !self.choice.collapsed.remove(&path) {
                self.choice.collapsed.insert(path);
            }
            self.choose();
        }
    }

    /// Collapses the directory, or goes to the one that it is in.
    fn collapse(&mut self) {
        if self.part != Part::Files {
            return;
        }
        match self.directory() {
            Some(path) if !self.choice.collapsed.contains(&path) => {
                self.choice.collapsed.insert(path);
                self.choose();
            }
            _ => {
                let parent = self.path().and_then(LayerPath::parent);
                let near = self.visible.cursor();
                self.visible = Visible::of(&self.listing, &self.choice, parent.as_ref(), near);
            }
        }
    }

    fn expand(&mut self) {
        if let Some(path) = self.directory()
            && self.choice.collapsed.remove(&path)
        {
            self.choose();
        }
    }

    fn collapse_all(&mut self) {
        if self.choice.collapsed.is_empty() {
            let rows = self.listing.rows.iter().skip(1);
            let directories = rows.filter(|row| self.listing.node(row).is_directory());
            self.choice.collapsed = directories.map(|row| row.path.clone()).collect();
        } else {
            self.choice.collapsed.clear();
        }
        self.choose();
    }

    /// Shows a file, opens a directory, or goes to a wasted path's file.
    fn open(&mut self) {
        match self.part {
            Part::Layers => self.part = Part::Files,
            Part::Waste => self.find_wasted(),
            Part::Files if self.directory().is_some() => self.toggle(),
            Part::Files => self.show(),
        }
    }

    fn find_wasted(&mut self) {
        let Some(wasted) = self.waste.get(self.wasted) else { return };
        self.choice.filter = wasted.path.to_string();
        self.part = Part::Files;
        self.choose();
        if self.visible.rows().is_empty() {
            self.message = Some("not with this layer: choose another".to_owned());
        }
    }

    fn show(&mut self) {
        let Some(row) = self.visible.chosen().map(|row| &self.listing.rows[row]) else { return };
        let gone = row.change == Some(tree::ChangeKind::Removed);
        let tree = if gone { &self.listing.before } else { &self.listing.tree };
        if !matches!(self.listing.node(row).kind, NodeKind::File { .. }) {
            self.message = Some("only files have content".to_owned());
            return;
        }
        match Text::read(&self.opened.layers, tree, &row.path) {
            Ok(text) => self.text = Some(text),
            Err(error) => self.message = Some(error.to_string()),
        }
    }

    /// Keys while a file is shown.
    fn read_on(&mut self, mut text: Text, command: Command) {
        match command {
            Command::Quit | Command::Back | Command::Open | Command::Collapse => return,
            command => match command {
                Command::Up
                | Command::Down
                | Command::PageUp
                | Command::PageDown
                | Command::First
                | Command::Last => text.go(self.way(command)),
                Command::Toggle => text.go(self.page.get() as isize),
                _ => {}
            },
        }
        self.text = Some(text);
    }
}

impl Part {
    fn next(self) -> Self {
        match self {
            Self::Layers => Self::Files,
            Self::Files => Self::Waste,
            Self::Waste => Self::Layers,
        }
    }
}
