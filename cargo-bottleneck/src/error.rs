//! Errors of the command: what happened, why, and how to go on.
//!
//! Each part is a lowercase fragment without a period. An error never carries the output of another tool that the
//! user has already seen: cargo's own diagnostics go to the terminal directly, and the error is then silent.

use std::fmt;

use crate::exit_code::ExitCode;

/// A failure that the user can do something about.
#[derive(Debug)]
pub struct Error {
    code: ExitCode,
    what: Option<String>,
    why: Option<String>,
    fix: Option<String>,
}

impl Error {
    /// An error that ends the command with `code`; `what` says what could not be done.
    pub fn new(code: ExitCode, what: impl Into<String>) -> Self {
        Self { code, what: Some(what.into()), why: None, fix: None }
    }

    /// An error that somebody else, such as cargo, has already explained on the terminal.
    pub fn already_shown(code: ExitCode) -> Self {
        Self { code, what: None, why: None, fix: None }
    }

    /// Adds the reason.
    #[must_use]
    pub fn why(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Adds the way to go on, as something to type or to edit.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// The code that the command ends with.
    pub fn code(&self) -> ExitCode {
        self.code
    }

    /// Whether there is nothing left to say.
    pub fn is_already_shown(&self) -> bool {
        self.what.is_none()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what.as_deref().unwrap_or("failed, as shown above"))?;
        for (label, text) in [("why", &self.why), ("fix", &self.fix)] {
            if let Some(text) = text {
                // Continuation lines stand below the text, not below the label.
                write!(f, "\n  {label}: {}", text.trim_end().replace('\n', "\n       "))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_why_and_how_to_go_on() {
        let error =
            Error::new(ExitCode::Setup, "cannot start `x`").why("first\nsecond").fix("build it");
        assert_eq!(
            error.to_string(),
            "cannot start `x`\n  why: first\n       second\n  fix: build it"
        );
    }
}
