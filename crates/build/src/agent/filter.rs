//! Which requests reach an agent (draft-miller-ssh-agent, "Protocol Messages").
//!
//! A message is its length (4 bytes, big endian), its type, and content.

use std::io::{self, Read, Write};

/// The longest message that is passed on, in bytes: what OpenSSH's agent takes.
const MAX_MESSAGE: u32 = 256 << 10;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;

/// Passes requests on and answers back, until the client has no more. What a command may not ask is
/// answered with a failure and does not reach the agent.
pub(super) fn pass(mut client: impl Read + Write, mut agent: impl Read + Write) -> io::Result<()> {
    while let Some(request) = read(&mut client)? {
        let answer = match request.first() {
            Some(&(REQUEST_IDENTITIES | SIGN_REQUEST)) => {
                write(&mut agent, &request)?;
                read(&mut agent)?.ok_or(io::ErrorKind::UnexpectedEof)?
            }
            _ => vec![FAILURE],
        };
        write(&mut client, &answer)?;
    }
    Ok(())
}

/// The next message without its length; `None` at the end.
fn read(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_be_bytes(length);
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length as usize];
    from.read_exact(&mut message)?;
    Ok(Some(message))
}

fn write(to: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    to.write_all(&[&length.to_be_bytes(), message].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads from one buffer, writes to another.
    struct Pipe<'a>(&'a [u8], Vec<u8>);

    impl Read for Pipe<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Pipe<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_listing_and_signing_reach_the_agent() {
        for kind in 0..=u8::MAX {
            let request = [0, 0, 0, 2, kind, 9];
            let mut client = Pipe(&request, Vec::new());
            let mut agent = Pipe(&[0, 0, 0, 1, 12], Vec::new());
            pass(&mut client, &mut agent).unwrap();
            let allowed = kind == REQUEST_IDENTITIES || kind == SIGN_REQUEST;
            let (asked, answer): (&[u8], _) = if allowed { (&request, 12) } else { (&[], FAILURE) };
            assert_eq!(agent.1, asked, "{kind}");
            assert_eq!(client.1, [0, 0, 0, 1, answer], "{kind}");
        }
    }

    #[test]
    fn messages_of_no_reasonable_length_end_it() {
        let mut client = Pipe(&[255, 255, 255, 255, 11], Vec::new());
        pass(&mut client, Pipe(&[], Vec::new())).unwrap_err();
        let mut client = Pipe(&[0, 0, 0, 0], Vec::new());
        pass(&mut client, Pipe(&[], Vec::new())).unwrap();
        assert_eq!(client.1, [0, 0, 0, 1, FAILURE]);
    }
}
