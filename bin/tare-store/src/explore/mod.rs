//! `tare-store explore`: an image's layers and files on a full screen.
//!
//! ```text
//! keys ──▶ Explorer (state, no terminal) ──▶ view (draws it)
//! ```
//!
//! The state knows nothing of the terminal, and the view changes nothing: so both are tested without one.

mod files;
mod keys;
mod layers;
mod state;
mod text;
mod view;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use cli::ErrorExt as _;
use image::Platform;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use store::Store;

use crate::look::Opened;
use state::Explorer;

/// How often a signal is looked for while no key is pressed.
const PATIENCE: Duration = Duration::from_millis(200);

/// Arrow keys move, Tab goes from part to part, ? shows all keys, q ends.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which image of several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Image, by name or id
    image: String,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(anyhow!("the explorer needs a terminal"))
            .hint("tare-store tree and tare-store analyze print what it shows");
    }
    let opened = Opened::read(store, &arguments.image, arguments.platform.as_ref())?;
    let mut explorer = Explorer::new(&arguments.image, opened)?;
    let interrupt = cli::Interrupt::install().context("cannot handle signals")?;
    let mut terminal = ratatui::try_init().context("cannot take over the terminal")?;
    let explored = explore(&mut terminal, &mut explorer, &interrupt);
    ratatui::try_restore().context("cannot give the terminal back")?;
    explored?;
    Ok(ExitCode::SUCCESS)
}

fn explore(
    terminal: &mut DefaultTerminal,
    explorer: &mut Explorer,
    interrupt: &cli::Interrupt,
) -> anyhow::Result<()> {
    while !explorer.is_done() {
        let failed = "cannot draw on the terminal";
        terminal.draw(|frame| view::draw(frame, explorer)).context(failed)?;
        while !event::poll(PATIENCE).context("cannot read the terminal")? {
            interrupt.check()?;
        }
        if let Event::Key(key) = event::read().context("cannot read the terminal")?
            && key.kind != KeyEventKind::Release
        {
            explorer.press(key)?;
        }
    }
    Ok(())
}
