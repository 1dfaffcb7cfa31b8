//! Who is who: accounts, installations, their log and credential.
