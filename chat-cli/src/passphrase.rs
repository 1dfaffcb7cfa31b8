//! Where the passphrase comes from: a file, the environment, or whoever sits at the terminal.

use std::path::Path;

use zeroize::Zeroizing;

use crate::error::CliError;
use crate::home;

/// The variable that holds a passphrase.
pub(crate) const VARIABLE: &str = "WAKU_CHAT_PASSPHRASE";

/// Gets the passphrase; asks for it twice where it is a new one.
pub(crate) fn get(file: Option<&Path>, new: bool) -> Result<Zeroizing<String>, CliError> {
    let passphrase = match file {
        Some(path) => {
            let text = Zeroizing::new(home::read(path)?);
            // Editors end a file with a line break, which nobody means to be part of it.
            Zeroizing::new(
                text.strip_suffix('\n').unwrap_or(&text).trim_end_matches('\r').to_owned(),
            )
        }
        None => match std::env::var(VARIABLE) {
            Ok(text) => Zeroizing::new(text),
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(CliError::NoPassphrase(format!("{VARIABLE} is not UTF-8")));
            }
            Err(std::env::VarError::NotPresent) => ask(new)?,
        },
    };
    if passphrase.is_empty() {
        return Err(CliError::NoPassphrase("it is empty".to_owned()));
    }
    Ok(passphrase)
}

fn ask(new: bool) -> Result<Zeroizing<String>, CliError> {
    let prompt = |text: &str| {
        rpassword::prompt_password(text).map(Zeroizing::new).map_err(|error| {
            CliError::NoPassphrase(format!("there is no terminal to ask at ({error})"))
        })
    };
    if !new {
        return prompt("Passphrase: ");
    }
    let first = prompt("New passphrase for this device: ")?;
    if first.is_empty() || *first == *prompt("The same again: ")? {
        Ok(first)
    } else {
        Err(CliError::NoPassphrase("the two were different".to_owned()))
    }
}
