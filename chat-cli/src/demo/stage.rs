//! Two views side by side: what the members see, and what the outsider sees meanwhile.

use super::observer::Observer;
use crate::error::CliError;
use crate::out::Out;

/// Columns of the members' side.
const LEFT: usize = 66;

/// Shows the story as it goes.
pub(super) struct Stage {
    out: Out,
    /// Lines of the members' side that are not shown yet.
    lines: Vec<String>,
    /// Notes of the outsider that are shown.
    shown: usize,
    /// Those of them that are no cards.
    counted: usize,
}

impl Stage {
    pub(super) fn new(out: Out) -> Self {
        Self { out, lines: Vec::new(), shown: 0, counted: 0 }
    }

    /// The headings of both sides.
    pub(super) fn open(&self) -> Result<(), CliError> {
        self.row("WHAT THE MEMBERS SEE", "WHAT THE RELAY SEES (time, content topic, size)")?;
        self.row(&"─".repeat(LEFT), &"─".repeat(50))
    }

    /// A heading over what comes next.
    pub(super) fn scene(&self, title: &str) -> Result<(), CliError> {
        self.row("", "")?;
        self.row(&format!("▸ {title}"), "")
    }

    /// A line of the members' side.
    pub(super) fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Waits until the outsider has seen `news` messages more, cards not counted, and shows both sides.
    pub(super) async fn sync(&mut self, observer: &Observer, news: usize) -> Result<(), CliError> {
        observer.wait_for(self.counted + news).await?;
        let notes = observer.notes(self.shown);
        self.shown += notes.len();
        self.counted += notes.iter().filter(|seen| !seen.is_card()).count();
        let lines = std::mem::take(&mut self.lines);
        for row in 0..lines.len().max(notes.len()) {
            let left = lines.get(row).map_or("", String::as_str);
            let right = notes.get(row).map_or(String::new(), |seen| seen.show());
            self.row(left, &right)?;
        }
        Ok(())
    }

    fn row(&self, left: &str, right: &str) -> Result<(), CliError> {
        if self.out.json || self.out.quiet {
            return Ok(());
        }
        let padding = LEFT.saturating_sub(left.chars().count());
        self.out.line(format!("{left}{} │ {right}", " ".repeat(padding)).trim_end())
    }
}
