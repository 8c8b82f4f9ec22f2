//! Where a layer's tar goes.

use std::fs::File;
use std::io::{self, BufWriter, Cursor, Sink, Write};

/// A place for a layer's tar, which may know a cheaper way to keep zeros than to write them.
pub trait LayerSink: Write {
    /// Takes `count` zeros. The default writes them; a file can leave a hole.
    ///
    /// # Errors
    /// As [`Write::write_all`].
    fn write_zeros(&mut self, mut count: u64) -> io::Result<()> {
        static ZEROS: [u8; 65536] = [0; 65536];
        while count > 0 {
            let now = count.min(ZEROS.len() as u64);
            self.write_all(&ZEROS[..now as usize])?;
            count -= now;
        }
        Ok(())
    }
}

impl LayerSink for Vec<u8> {}
impl LayerSink for File {}
impl LayerSink for Cursor<Vec<u8>> {}
impl LayerSink for Sink {}
impl<W: Write> LayerSink for BufWriter<W> {}

impl<W: LayerSink + ?Sized> LayerSink for &mut W {
    fn write_zeros(&mut self, count: u64) -> io::Result<()> {
        (**self).write_zeros(count)
    }
}

impl<W: LayerSink + ?Sized> LayerSink for Box<W> {
    fn write_zeros(&mut self, count: u64) -> io::Result<()> {
        (**self).write_zeros(count)
    }
}
