//! A linking code on a terminal.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// The QR code of a text, dark on light whatever the terminal's colours are; none where the text is
/// too long for one.
pub(super) fn qr(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let drawn = code
        .render::<Dense1x2>()
        // Most terminals are light on dark, and blocks are drawn in the foreground's colour.
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    Some(drawn)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_code_fits_a_terminal() {
        let code = format!("WAKU-CHAT:LINK/1/{}", "A7".repeat(64));
        let drawn = qr(&code).unwrap();
        let widest = drawn.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(
            widest <= 60 && drawn.lines().count() <= 30,
            "{widest} by {}",
            drawn.lines().count()
        );
        assert!(qr(&"x".repeat(10_000)).is_none());
    }
}
