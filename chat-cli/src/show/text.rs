//! Other people's text on a terminal: it must not move the cursor, change colours, reorder the text
//! beside it, or look like a line that the program wrote.

use std::fmt::Write as _;

/// A text on one line. Line breaks become `⏎`, and characters that a terminal would act on become
/// their code points in hexadecimal.
pub(crate) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => out.push('⏎'),
            '\t' => out.push(' '),
            c if is_unsafe(c) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "‹{:x}›", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// A text on several lines. All but the first are indented, so that none looks like a line of the
/// program's own.
pub(crate) fn block(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (n, part) in text.lines().enumerate() {
        if n > 0 {
            out.push_str("\n    │ ");
        }
        out.push_str(&line(part));
    }
    out
}

/// Whether a character is a control character, changes the direction of text, breaks lines or is
/// invisible.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The first and last characters of a long text, with `…` between them.
pub(crate) fn shorten(text: &str, head: usize, tail: usize) -> String {
    let count = text.chars().count();
    if count <= head + tail + 1 {
        return line(text);
    }
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - tail).collect();
    line(&format!("{start}…{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_do_not_get_through() {
        assert_eq!(line("plain, ümläut, 漢字 and 🎂"), "plain, ümläut, 漢字 and 🎂");
        assert_eq!(line("\u{1b}[2J\u{7}"), "‹1b›[2J‹7›");
        assert_eq!(line("\u{9b}31m"), "‹9b›31m");
        assert_eq!(line("a\u{202e}b"), "a‹202e›b");
        assert_eq!(line("a\r\nb\rc\td"), "a⏎b‹d›c d");
        assert_eq!(block("one\n12:00 Alice: two"), "one\n    │ 12:00 Alice: two");
        assert_eq!(shorten("abcdefghij", 3, 2), "abc…ij");
        assert_eq!(shorten("abc", 3, 2), "abc");
    }

    proptest! {
        #[test]
        fn no_control_character_remains(text in any::<String>()) {
            prop_assert!(!line(&text).chars().any(is_unsafe));
            prop_assert!(!block(&text).chars().any(|c| c != '\n' && is_unsafe(c)));
            prop_assert!(!shorten(&text, 4, 4).chars().any(is_unsafe));
        }
    }
}
