//! The content of a file as it is shown.

use inspect::Layers;
use tree::{LayerPath, Tree};

use crate::look::names::printable;

/// How much of a file is shown, in bytes.
const MAX: usize = 256 << 10;

/// A file that is looked at.
#[derive(Debug)]
pub(super) struct Text {
    /// Its path.
    pub(super) title: String,
    /// Its lines, or those of a dump where it is no text.
    pub(super) lines: Vec<String>,
    /// The first line on the screen.
    pub(super) top: usize,
}

impl Text {
    /// Reads a file's first bytes.
    pub(super) fn read(
        layers: &Layers,
        tree: &Tree,
        path: &LayerPath,
    ) -> Result<Self, inspect::Error> {
        let mut start = Start { bytes: Vec::new(), cut: false };
        match layers.copy(tree, path, &mut start) {
            // It was told to end here.
            Err(inspect::Error::Write(_)) if start.cut => {}
            read => read?,
        }
        let title = format!("/{}", printable(path.as_bytes()));
        let mut lines = lines(&start.bytes);
        if start.cut {
            lines.push(format!("… the first {} of it", cli::bytes(MAX as u64)));
        }
        Ok(Self { title, lines, top: 0 })
    }

    /// Goes so many lines down, or up.
    pub(super) fn go(&mut self, by: isize) {
        self.top = self.top.saturating_add_signed(by).min(self.lines.len().saturating_sub(1));
    }
}

/// Takes the first bytes, then refuses more.
struct Start {
    bytes: Vec<u8>,
    cut: bool,
}

impl std::io::Write for Start {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = MAX - self.bytes.len();
        self.cut = bytes.len() > room;
        if room == 0 && self.cut {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    if bytes.contains(&0) {
        return bytes.chunks(16).enumerate().map(|(row, bytes)| dump(row * 16, bytes)).collect();
    }
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let untabbed = |line: &[u8]| printable(line).replace("\\t", "    ");
    text.split(|&byte| byte == b'\n').map(untabbed).collect()
}

fn dump(at: usize, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x} ")).collect();
    let shown = |&byte: &u8| if (0x20..0x7f).contains(&byte) { byte as char } else { '.' };
    format!("{at:06x}  {hex:<48} {}", bytes.iter().map(shown).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn text_has_lines_and_other_bytes_a_dump() {
        assert_eq!(lines(b"a\n\tb\x1b\n"), ["a", "    b\\u{1b}"]);
        assert_eq!(lines(b""), [""]);
        let dump = lines(b"\0ELF and more than sixteen");
        assert_eq!(dump.len(), 2);
        assert!(
            dump[0].starts_with("000000  00 45 4c 46 ") && dump[0].ends_with(" .ELF and more th")
        );
    }
}
