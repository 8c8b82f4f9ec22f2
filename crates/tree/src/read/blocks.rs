//! A tar as blocks of 512 bytes, with the position kept.

use std::io::{self, BufRead, BufReader, Read};

use super::ReadCause;

pub(super) const BLOCK: u64 = 512;

/// Contents are skipped through this much at a time.
const BUFFER: usize = 256 << 10;

pub(super) type Block = [u8; BLOCK as usize];

pub(super) struct Blocks<R> {
    reader: BufReader<R>,
    position: u64,
    marked: bool,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER, reader), position: 0, marked: false }
    }

    /// Where the next block starts, in bytes.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether the end marker was there, or the half of it that some tools write.
    pub(super) fn is_marked(&self) -> bool {
        self.marked
    }

    /// The next header, or `None` at the end: two zero blocks, or where the input ends between
    /// entries, since some tools write no end marker.
    pub(super) fn header(&mut self) -> Result<Option<Block>, ReadCause> {
        let Some(block) = self.block_or_end()? else { return Ok(None) };
        if block != [0; BLOCK as usize] {
            return Ok(Some(block));
        }
        self.marked = true;
        match self.block_or_end()? {
            Some(second) if second != [0; BLOCK as usize] => Err(ReadCause::LoneZeroBlock),
            _ => Ok(None),
        }
    }

    /// The next block, which must be there.
    pub(super) fn block(&mut self) -> Result<Block, ReadCause> {
        self.block_or_end()?.ok_or(ReadCause::Truncated)
    }

    fn block_or_end(&mut self) -> Result<Option<Block>, ReadCause> {
        let mut block = [0; BLOCK as usize];
        if fill(&mut self.reader)?.is_empty() {
            return Ok(None);
        }
        self.reader.read_exact(&mut block).map_err(truncated)?;
        self.position += BLOCK;
        Ok(Some(block))
    }

    /// The next `size` bytes, with the padding after them passed over.
    pub(super) fn content(&mut self, size: usize) -> Result<Vec<u8>, ReadCause> {
        let mut content = vec![0; size];
        self.reader.read_exact(&mut content).map_err(truncated)?;
        self.position += size as u64;
        self.skip_padding(size as u64)?;
        Ok(content)
    }

    /// Passes over `size` bytes and the padding after them.
    pub(super) fn skip_content(&mut self, size: u64) -> Result<(), ReadCause> {
        self.skip(size)?;
        self.skip_padding(size)
    }

    /// Passes over what fills the last block. The input may end in it: `umoci insert` leaves it out
    /// after the last file, and Go's archive/tar takes that.
    fn skip_padding(&mut self, size: u64) -> Result<(), ReadCause> {
        match self.skip(padding(size)) {
            Err(ReadCause::Truncated) => Ok(()),
            other => other,
        }
    }

    fn skip(&mut self, count: u64) -> Result<(), ReadCause> {
        let end = self.position.checked_add(count).filter(|&end| end <= i64::MAX as u64);
        let end = end.ok_or(ReadCause::Number("size"))?;
        while self.position < end {
            let available = fill(&mut self.reader)?.len();
            if available == 0 {
                return Err(ReadCause::Truncated);
            }
            let now = available.min(usize::try_from(end - self.position).unwrap_or(usize::MAX));
            self.reader.consume(now);
            self.position += now as u64;
        }
        Ok(())
    }

    /// Reads to the end of the input.
    pub(super) fn drain(&mut self) -> Result<(), ReadCause> {
        loop {
            let available = fill(&mut self.reader)?.len();
            if available == 0 {
                return Ok(());
            }
            self.reader.consume(available);
        }
    }
}

fn fill<R: Read>(reader: &mut BufReader<R>) -> io::Result<&[u8]> {
    // Asked twice because a buffer that is given back cannot be asked for again in a loop.
    while let Err(error) = reader.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    reader.fill_buf()
}

fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

fn truncated(error: io::Error) -> ReadCause {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadCause::Truncated,
        _ => ReadCause::Io(error),
    }
}
