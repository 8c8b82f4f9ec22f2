//! The explorer on the screen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line as TextLine, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};
use tree::ChangeKind;

use super::files::Choice;
use super::keys::{HELP, SHORT};
use super::state::{Explorer, Part};
use super::text::Text;
use crate::find::short;
use crate::look::branches::Branches;
use crate::look::changes::change_letter;
use crate::look::listing::Row;
use crate::look::names::printable;
use crate::look::shown;

/// From this width on there is room for permissions and owners.
const WIDE: u16 = 110;

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, explorer: &Explorer) {
    let [main, bottom] =
        Layout::vertical([Constraint::Min(3), Constraint::Length(1)]).areas(frame.area());
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(42), Constraint::Min(20)]).areas(main);
    let [layers, details, waste] = Layout::vertical([
        Constraint::Fill(3),
        Constraint::Length(if main.height > 20 { 7 } else { 4 }),
        Constraint::Fill(2),
    ])
    .areas(left);
    draw_layers(frame, layers, explorer);
    draw_details(frame, details, explorer);
    draw_waste(frame, waste, explorer);
    match &explorer.text {
        Some(text) => draw_text(frame, main, text, explorer),
        None => draw_files(frame, right, explorer),
    }
    frame.render_widget(bottom_line(explorer), bottom);
    if explorer.help {
        draw_help(frame, main);
    }
}

/// The frame of a part, bright where the keys go.
fn block(title: String, active: bool) -> Block<'static> {
    let style = if active { Style::new().fg(Color::Cyan) } else { Style::new().dim() };
    let title = Span::styled(title, Style::new().add_modifier(Modifier::BOLD));
    Block::bordered().border_style(style).title(title)
}

/// The part of `length` rows that a window of `height` shows, with the chosen one in it.
fn window(chosen: usize, length: usize, height: usize) -> std::ops::Range<usize> {
    let start = (chosen + 1).saturating_sub(height.max(1)).max(chosen.saturating_sub(height / 2));
    let start = start.min(length.saturating_sub(height));
    start..length.min(start + height)
}

fn draw_layers(frame: &mut Frame<'_>, area: Rect, explorer: &Explorer) {
    let block = block(" Layers ".to_owned(), explorer.part == Part::Layers);
    let inner = block.inner(area);
    let rows = window(explorer.layer, explorer.layers.len(), inner.height.into());
    let line = |index: usize| {
        let layer = &explorer.layers[index];
        let size = cli::bytes(layer.size);
        let command = printable(layer.command.as_bytes());
        let line = TextLine::raw(format!("{:>3} {size:>7}  {command}", index + 1));
        if index == explorer.layer { line.reversed() } else { line }
    };
    frame.render_widget(Paragraph::new(rows.map(line).collect::<Vec<_>>()).block(block), area);
}

fn draw_details(frame: &mut Frame<'_>, area: Rect, explorer: &Explorer) {
    let block = block(" Layer ".to_owned(), false);
    let mut lines = Vec::new();
    if let Some(layer) = explorer.layers.get(explorer.layer) {
        let bytes = cli::bytes(layer.size);
        lines.push(TextLine::raw(format!(
            "{} of {}: {} entries, {bytes}",
            explorer.layer + 1,
            explorer.layers.len(),
            layer.entries
        )));
        let digests = format!("diff id {}  blob {}", short(&layer.diff_id), short(&layer.blob));
        lines.push(TextLine::raw(digests));
        lines.push(TextLine::raw(printable(layer.command.as_bytes())));
    }
    let paragraph = Paragraph::new(lines).wrap(Wrap { trim: true }).block(block);
    frame.render_widget(paragraph, area);
}

fn draw_waste(frame: &mut Frame<'_>, area: Rect, explorer: &Explorer) {
    let block = block(
        format!(" Image {} ", printable(explorer.name.as_bytes())),
        explorer.part == Part::Waste,
    );
    let inner = block.inner(area);
    let wasted: u64 = explorer.waste.iter().map(|path| path.bytes).sum();
    let mut lines = vec![TextLine::raw(format!(
        "{}, efficiency {:.1} %, wasted {}",
        cli::bytes(explorer.size()),
        explorer.efficiency * 100.0,
        cli::bytes(wasted)
    ))];
    let height = usize::from(inner.height).saturating_sub(1);
    for index in window(explorer.wasted, explorer.waste.len(), height) {
        let path = &explorer.waste[index];
        let name = printable(path.path.as_bytes());
        let text = format!("{:>3} {:>7}  /{name}", path.layers, cli::bytes(path.bytes));
        let line = TextLine::raw(text);
        let chosen = explorer.part == Part::Waste && index == explorer.wasted;
        lines.push(if chosen { line.reversed() } else { line });
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_files(frame: &mut Frame<'_>, area: Rect, explorer: &Explorer) {
    let block = block(files_title(explorer), explorer.part == Part::Files);
    let inner = block.inner(area);
    explorer.page.set(inner.height.into());
    let rows = explorer.visible.rows();
    let visible = || rows.iter().map(|&row| &explorer.listing.rows[row]);
    let mut branches = Branches::of(visible(), 0);
    let attributes = explorer.attributes.unwrap_or(frame.area().width >= WIDE);
    let window = window(explorer.visible.cursor(), rows.len(), inner.height.into());
    for index in 0..window.start {
        branches.pass(index);
    }
    let mut lines = Vec::new();
    for index in window {
        let row = &explorer.listing.rows[rows[index]];
        let line = file_line(explorer, row, &branches.before(index), attributes);
        let chosen = index == explorer.visible.cursor();
        let active = explorer.part == Part::Files;
        lines.push(if chosen && active { line.reversed() } else { line });
    }
    if lines.is_empty() {
        lines.push(TextLine::raw("nothing to show: c, a, m, d, u and / choose what is").dim());
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// What is shown, and what is left out.
fn files_title(explorer: &Explorer) -> String {
    let what = if explorer.cumulative { "Files with this layer" } else { "Changes of this layer" };
    let kinds = [
        (Some(ChangeKind::Added), "A"),
        (Some(ChangeKind::Modified), "C"),
        (Some(ChangeKind::Removed), "D"),
        (None, "same"),
    ];
    let hidden: Vec<_> = kinds
        .iter()
        .filter(|(kind, _)| !explorer.choice.kinds[Choice::kind(*kind)])
        .map(|(_, name)| *name)
        .collect();
    match hidden.is_empty() {
        true => format!(" {what} "),
        false => format!(" {what}, without {} ", hidden.join(" ")),
    }
}

fn file_line(explorer: &Explorer, row: &Row, branch: &str, attributes: bool) -> TextLine<'static> {
    let node = explorer.listing.node(row);
    let mut text = format!("{} ", row.change.map_or(' ', change_letter));
    if attributes {
        let owner = format!("{}:{}", node.metadata.uid, node.metadata.gid);
        text.push_str(&format!("{} {owner:>9} ", shown::permissions(node)));
    }
    let has_size = node.is_directory() || shown::file_size(node).is_some();
    let size = if has_size { cli::bytes(row.size) } else { String::new() };
    let name = printable(row.path.name().unwrap_or(b"/"));
    let closed = node.is_directory() && explorer.choice.collapsed.contains(&row.path);
    let mark = match node.is_directory() {
        true if closed && row.below > 0 => format!("/ (+{})", row.below),
        true => "/".to_owned(),
        false => shown::tail(node),
    };
    text.push_str(&format!("{size:>7}  {branch}{name}{mark}"));
    let style = match row.change {
        Some(ChangeKind::Added) => Style::new().fg(Color::Green),
        Some(ChangeKind::Modified) => Style::new().fg(Color::Yellow),
        Some(ChangeKind::Removed) => Style::new().fg(Color::Red),
        None => Style::new(),
    };
    TextLine::styled(text, style)
}

fn draw_text(frame: &mut Frame<'_>, area: Rect, text: &Text, explorer: &Explorer) {
    let block = block(format!(" {} ", text.title), true);
    let inner = block.inner(area);
    explorer.page.set(inner.height.into());
    let lines: Vec<_> = text
        .lines
        .iter()
        .skip(text.top)
        .take(inner.height.into())
        .map(|line| TextLine::raw(line.clone()))
        .collect();
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn bottom_line(explorer: &Explorer) -> TextLine<'static> {
    if explorer.typing {
        return TextLine::raw(format!(
            "/{}▏ Enter keeps the filter, Esc drops it",
            explorer.choice.filter
        ));
    }
    if let Some(message) = &explorer.message {
        return TextLine::raw(printable(message.as_bytes())).red();
    }
    if explorer.text.is_some() {
        return TextLine::raw("↑↓ PgUp PgDn move   q back").dim();
    }
    if !explorer.choice.filter.is_empty() {
        let shown = format!("filter {:?}: Esc drops it   ", explorer.choice.filter);
        return TextLine::from(vec![Span::raw(shown), Span::raw(SHORT).dim()]);
    }
    TextLine::raw(SHORT).dim()
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let width = area.width.min(56);
    let height = area.height.min(HELP.len() as u16 + 2);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let lines: Vec<_> =
        HELP.iter().map(|(key, what)| TextLine::raw(format!("{key:>9}  {what}"))).collect();
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block(" Keys ".to_owned(), true)), place);
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn the_chosen_row_is_in_the_window() {
        for length in 0..30 {
            for height in 1..12 {
                for chosen in 0..length {
                    let rows = window(chosen, length, height);
                    assert!(rows.contains(&chosen), "{chosen} of {length} in {height}: {rows:?}");
                    assert_eq!(rows.len(), height.min(length));
                }
            }
        }
        assert_eq!(window(0, 0, 5), 0..0);
    }
}
