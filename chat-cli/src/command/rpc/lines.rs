//! Lines of a bounded length.

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// The longest line, in bytes. The longest message fits, with all its characters escaped.
pub(super) const MAX_LINE: usize = 1024 * 1024;

/// What was read from the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Text(Vec<u8>),
    /// A line that was too long. Its bytes are skipped.
    TooLong,
    End,
}

/// Reads lines of a bounded length. Reading can be cancelled at any time and continued.
pub(super) struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    too_long: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input: BufReader::new(input), line: Vec::new(), too_long: false }
    }

    pub(super) async fn next(&mut self) -> std::io::Result<Line> {
        loop {
            let buffer = self.input.fill_buf().await?;
            if buffer.is_empty() {
                // A line without a line break was cut off, and is not a request.
                return Ok(Line::End);
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            if self.line.len() + part.len() > MAX_LINE {
                self.too_long = true;
                self.line = Vec::new();
            }
            if !self.too_long {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.input.consume(used);
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                return Ok(if std::mem::take(&mut self.too_long) {
                    Line::TooLong
                } else {
                    Line::Text(line)
                });
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    async fn all(input: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(input);
        let mut out = Vec::new();
        loop {
            match lines.next().await.unwrap() {
                Line::End => return out,
                line => out.push(line),
            }
        }
    }

    #[tokio::test]
    async fn lines_are_bounded_and_a_cut_one_is_none() {
        let mut input = b"one\n\n".to_vec();
        input.extend(vec![b'x'; MAX_LINE + 1]);
        input.extend(b"\ntwo\ncut off");
        let text = |text: &str| Line::Text(text.as_bytes().to_vec());
        assert_eq!(all(&input).await, [text("one"), text(""), Line::TooLong, text("two")]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_lines(input in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let lines = runtime.block_on(all(&input));
            prop_assert_eq!(lines.len(), input.iter().filter(|byte| **byte == b'\n').count());
        }
    }
}
