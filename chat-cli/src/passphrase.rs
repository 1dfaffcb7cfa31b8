//! Where the passphrase comes from: a file, the environment, or whoever sits at the terminal.

use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::CliError;
use crate::home;

/// Bytes of a phrase that are read: 24 words, and generous white space.
const MAX_PHRASE: u64 = 4096;

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

/// Gets a recovery phrase: from a file, from standard input for `-`, or from whoever sits at the
/// terminal.
pub(crate) fn phrase(file: Option<&Path>) -> Result<Zeroizing<String>, CliError> {
    match file {
        Some(path) if path.as_os_str() == "-" => {
            let mut text = Zeroizing::new(String::with_capacity(MAX_PHRASE as usize));
            let read = std::io::stdin().lock().take(MAX_PHRASE).read_to_string(&mut text);
            read.map_err(|source| CliError::System { what: "cannot read the phrase", source })?;
            Ok(text)
        }
        Some(path) => Ok(Zeroizing::new(home::read(path)?)),
        None => rpassword::prompt_password("Recovery phrase (it is not shown): ")
            .map(Zeroizing::new)
            .map_err(|error| {
                CliError::Usage(format!("there is no terminal to ask for the phrase at ({error})"))
            }),
    }
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
