//! The bytes of a regular file: runs of its layer's tar, and zeros between them.

use crate::{Extent, FileContent};

impl FileContent {
    /// The content of a file that is not sparse: `size` bytes at `tar_offset`.
    pub fn plain(size: u64, tar_offset: u64) -> Self {
        let extent = Extent { file_offset: 0, tar_offset, length: size };
        Self { size, extents: if size == 0 { Vec::new() } else { vec![extent] } }
    }

    /// Fills the buffer with what the file has at `offset`. `read` is asked for the runs that are in
    /// the buffer's reach, in order: it fills a part of it with the tar's bytes at an offset.
    ///
    /// # Errors
    /// Those of `read`; then what the buffer holds means nothing.
    pub fn read_at<E>(
        &self,
        offset: u64,
        buffer: &mut [u8],
        mut read: impl FnMut(&mut [u8], u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = offset + buffer.len() as u64;
        let first = self.extents.partition_point(|run| run.file_offset + run.length <= offset);
        let mut filled = 0;
        for run in self.extents[first..].iter().take_while(|run| run.file_offset < end) {
            let from = run.file_offset.max(offset);
            let to = (run.file_offset + run.length).min(end);
            let part = (from - offset) as usize..(to - offset) as usize;
            buffer[filled..part.start].fill(0);
            filled = part.end;
            read(&mut buffer[part], run.tar_offset + (from - run.file_offset))?;
        }
        buffer[filled..].fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_sparse_file() {
        let tar = b"..abc....de";
        let run = |file_offset, tar_offset, length| Extent { file_offset, tar_offset, length };
        let content = FileContent { size: 10, extents: vec![run(1, 2, 3), run(6, 9, 2)] };
        let whole = b"\0abc\0\0de\0\0";
        for from in 0..whole.len() {
            for to in from..=whole.len() {
                let mut buffer = vec![0xff; to - from];
                let read = |part: &mut [u8], at: u64| {
                    part.copy_from_slice(&tar[at as usize..][..part.len()]);
                    Ok::<(), ()>(())
                };
                content.read_at(from as u64, &mut buffer, read).unwrap();
                assert_eq!(buffer, whole[from..to], "{from}..{to}");
            }
        }
        let fails = content.read_at(0, &mut [0; 2], |_, at| Err(at));
        assert_eq!(fails, Err(2));
    }
}
