//! Times as people read them. The program has no time zone data of its own, so they are UTC.

use waku_chat::Timestamp;

/// `2026-01-31 12:00:00Z`.
pub(crate) fn show(at: Timestamp) -> String {
    let (year, month, day) = date(at.secs() / 86_400);
    format!("{year:04}-{month:02}-{day:02} {}Z", clock(at))
}

/// `12:00:00`.
pub(crate) fn clock(at: Timestamp) -> String {
    let second = at.secs() % 86_400;
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// Year, month and day, from days since the unix epoch: the calendar of years that begin in March,
/// in which the leap day comes last, in cycles of 400 years.
fn date(days: u64) -> (u64, u64, u64) {
    const CYCLE: u64 = 146_097;
    // Days since 1 March of the year 0.
    let days = days + 719_468;
    let (cycle, day) = (days / CYCLE, days % CYCLE);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let in_march_year = year + 400 * cycle;
    (
        in_march_year + u64::from(month >= 10),
        if month < 10 { month + 3 } else { month - 9 },
        day - (153 * month + 2) / 5 + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (secs, text) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399, "2000-02-28 23:59:59Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (951_868_800, "2000-03-01 00:00:00Z"),
            (1_735_689_599, "2024-12-31 23:59:59Z"),
            (4_107_542_400, "2100-03-01 00:00:00Z"),
        ] {
            assert_eq!(show(Timestamp::from_secs(secs)), text);
        }
    }
}
