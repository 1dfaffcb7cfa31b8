//! A linking code as a QR code on a terminal.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// White on black, whatever the terminal's colours: not every scanner reads a code whose colours are
/// inverted.
const COLOURS: &str = "\x1b[97;40m";
const NO_COLOURS: &str = "\x1b[0m";

/// Draws the QR code of a text, or nothing if the text is too long for one. Without `colours`, it is
/// dark on light only if the terminal is light on dark.
pub(super) fn draw(text: &str, colours: bool) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let drawn = code
        .render::<Dense1x2>()
        // Most terminals are light on dark, and blocks have the foreground's colour.
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    if !colours {
        return Some(drawn);
    }
    let lines = drawn.lines().map(|line| format!("{COLOURS}{line}{NO_COLOURS}"));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_code_fits_a_terminal() {
        let code = format!("WAKU-CHAT:LINK/1/{}", "A7".repeat(64));
        let drawn = draw(&code, false).unwrap();
        let widest = drawn.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(
            widest <= 60 && drawn.lines().count() <= 30,
            "{widest} by {}",
            drawn.lines().count()
        );
        let coloured = draw(&code, true).unwrap();
        assert_eq!(coloured.replace(COLOURS, "").replace(NO_COLOURS, ""), drawn);
        assert!(coloured.lines().all(|line| line.ends_with(NO_COLOURS)));
        assert!(draw(&"x".repeat(10_000), true).is_none());
    }
}
