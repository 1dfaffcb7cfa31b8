//! The passphrase and the recovery phrase: from a file, from the environment, or asked for at the
//! terminal.

use std::io::Read as _;
use std::path::Path;

use waku_chat::RecoveryPhrase;
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::files;

/// How much of a phrase is read, in bytes: 24 words, with generous white space.
const MAX_PHRASE: u64 = 4096;

/// The environment variable that holds a passphrase.
pub(crate) const PASSPHRASE_VARIABLE: &str = "WAKU_CHAT_PASSPHRASE";

/// Gets the passphrase. A new one is asked for twice.
pub(crate) fn passphrase(file: Option<&Path>, new: bool) -> Result<Zeroizing<String>, CliError> {
    let passphrase = match file {
        Some(path) => {
            let text = Zeroizing::new(files::read(path)?);
            // Editors end a file with a line break, which is not meant to be part of it.
            Zeroizing::new(
                text.strip_suffix('\n').unwrap_or(&text).trim_end_matches('\r').to_owned(),
            )
        }
        None => match std::env::var(PASSPHRASE_VARIABLE) {
            Ok(text) => Zeroizing::new(text),
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(CliError::NoPassphrase(format!("{PASSPHRASE_VARIABLE} is not UTF-8")));
            }
            Err(std::env::VarError::NotPresent) => ask(new)?,
        },
    };
    if passphrase.is_empty() {
        return Err(CliError::NoPassphrase("it is empty".to_owned()));
    }
    Ok(passphrase)
}

/// Gets the recovery phrase: from a file, from standard input for `-`, or at the terminal.
pub(crate) fn recovery_phrase(file: Option<&Path>) -> Result<RecoveryPhrase, CliError> {
    let words = match file {
        Some(path) if path.as_os_str() == "-" => {
            let mut text = Zeroizing::new(String::with_capacity(MAX_PHRASE as usize));
            let read = std::io::stdin().lock().take(MAX_PHRASE).read_to_string(&mut text);
            read.map_err(|source| CliError::System { what: "cannot read the phrase", source })?;
            text
        }
        Some(path) => Zeroizing::new(files::read(path)?),
        None => prompt("Recovery phrase (not shown as you type): ", CliError::BadPhrase)?,
    };
    // The reason does not contain any of the words.
    RecoveryPhrase::parse(&words).map_err(|error| CliError::BadPhrase(error.to_string()))
}

fn ask(new: bool) -> Result<Zeroizing<String>, CliError> {
    if !new {
        return prompt("Passphrase: ", CliError::NoPassphrase);
    }
    let first = prompt("New passphrase for this installation: ", CliError::NoPassphrase)?;
    if first.is_empty() || *first == *prompt("Repeat it: ", CliError::NoPassphrase)? {
        Ok(first)
    } else {
        Err(CliError::NoPassphrase("the two were different".to_owned()))
    }
}

fn prompt(text: &str, failed: fn(String) -> CliError) -> Result<Zeroizing<String>, CliError> {
    rpassword::prompt_password(text)
        .map(Zeroizing::new)
        .map_err(|error| failed(format!("there is no terminal to ask for it ({error})")))
}
