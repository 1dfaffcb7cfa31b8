//! Times as people read them: in the time zone of the machine.

use jiff::tz::TimeZone;
use waku_chat::Timestamp;

/// `2026-01-31 13:00:00 CET`.
pub(crate) fn date_time(at: Timestamp) -> String {
    format_in(&TimeZone::system(), at, "%Y-%m-%d %H:%M:%S %Z")
}

/// `13:00:00`.
pub(crate) fn clock(at: Timestamp) -> String {
    format_in(&TimeZone::system(), at, "%H:%M:%S")
}

fn format_in(zone: &TimeZone, at: Timestamp, format: &str) -> String {
    let milliseconds = i64::try_from(at.0).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(milliseconds) {
        Ok(time) => time.to_zoned_datetime(zone.clone()).strftime(format).to_string(),
        // Others choose the times of their messages: this one is after the year 9999.
        Err(_) => "(far in the future)".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALL: &str = "%Y-%m-%d %H:%M:%S %Z";

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (secs, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(format_in(&TimeZone::UTC, Timestamp::from_secs(secs), ALL), text);
        }
    }

    #[test]
    fn times_are_local_in_summer_and_winter() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let winter = Timestamp::from_secs(1_767_225_600);
        let summer = Timestamp::from_secs(1_782_864_000);
        assert_eq!(format_in(&zone, winter, ALL), "2026-01-01 01:00:00 CET");
        assert_eq!(format_in(&zone, summer, ALL), "2026-07-01 02:00:00 CEST");
    }

    #[test]
    fn any_time_can_be_shown() {
        for at in [0, 253_402_300_799_999, 253_402_300_800_000, u64::MAX] {
            assert!(!date_time(Timestamp(at)).is_empty() && !clock(Timestamp(at)).is_empty());
        }
    }
}
