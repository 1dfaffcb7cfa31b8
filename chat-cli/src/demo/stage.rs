//! Two views side by side: what the members see, and what the outsider sees at the same time.

use super::observer::Observer;
use crate::error::CliError;
use crate::out::Out;

/// The width of the members' side, in columns.
const LEFT: usize = 66;

/// Shows the story as it happens.
pub(super) struct Stage {
    out: Out,
    /// The members' lines that are not shown yet.
    lines: Vec<String>,
    /// How many of the outsider's messages are shown.
    shown: usize,
    /// How many of these are not cards.
    counted: usize,
}

impl Stage {
    pub(super) fn new(out: Out) -> Self {
        Self { out, lines: Vec::new(), shown: 0, counted: 0 }
    }

    /// Shows the headings of both sides.
    pub(super) fn open(&self) -> Result<(), CliError> {
        self.row("WHAT THE MEMBERS SEE", "WHAT THE RELAY SEES (time, content topic, size)")?;
        self.row(&"─".repeat(LEFT), &"─".repeat(50))
    }

    /// Shows the heading of the next scene.
    pub(super) fn scene(&self, title: &str) -> Result<(), CliError> {
        self.row("", "")?;
        self.row(&format!("▸ {title}"), "")
    }

    /// Adds a line on the members' side.
    pub(super) fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Waits until the outsider has seen this many more messages, not counting cards, and shows both
    /// sides.
    pub(super) async fn sync(&mut self, observer: &Observer, more: usize) -> Result<(), CliError> {
        observer.wait_for(self.counted + more).await?;
        let messages = observer.seen(self.shown);
        self.shown += messages.len();
        self.counted += messages.iter().filter(|seen| !seen.is_card()).count();
        let lines = std::mem::take(&mut self.lines);
        for row in 0..lines.len().max(messages.len()) {
            let left = lines.get(row).map_or("", String::as_str);
            let right = messages.get(row).map_or(String::new(), |seen| seen.show());
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
