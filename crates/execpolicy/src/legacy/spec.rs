//! The description of one program, and whether a call fits it.

use std::collections::BTreeMap;

use super::call::{Call, PositionalArg};
use super::error::CheckError;
use super::matcher::{ArgMatcher, ArgType};
use super::outcome::{MatchedCall, MatchedFlag, MatchedOpt};
use super::positional;

/// One `define_program(…)`.
#[derive(Clone, Debug)]
pub(super) struct ProgramSpec {
    pub(super) program: String,
    pub(super) system_path: Vec<String>,
    /// By name. A sorted map, so that messages name missing ones in a stable order.
    pub(super) options: BTreeMap<String, OptionSpec>,
    pub(super) args: Vec<ArgMatcher>,
    /// Why calls that fit are forbidden; `None` when they are not.
    pub(super) forbidden: Option<String>,
    pub(super) should_match: Vec<Vec<String>>,
    pub(super) should_not_match: Vec<Vec<String>>,
}

/// One option of a program.
#[derive(Clone, Debug)]
pub(super) struct OptionSpec {
    /// What its value is; `None` when it has none.
    pub(super) value: Option<ArgType>,
    pub(super) required: bool,
}

impl ProgramSpec {
    /// Fits a call to the description.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub(super) fn check(&self, call: &Call) -> Result<MatchedCall, CheckError> {
        let mut flags = Vec::new();
        let mut opts = Vec::new();
        let mut words = Vec::new();
        let mut arguments = call.args.iter().enumerate();
        while let Some((index, word)) = arguments.next() {
            if word == "--" {
                return Err(CheckError::DoubleDashNotSupportedYet { program: self.program.clone() });
            }
            if !word.starts_with('-') {
                words.push(PositionalArg { index, value: word.clone() });
                continue;
            }
            let option = self.options.get(word).ok_or_else(|| CheckError::UnknownOption {
                program: self.program.clone(),
                option: word.clone(),
            })?;
            match &option.value {
                None => flags.push(MatchedFlag { name: word.clone() }),
                Some(value_type) => {
                    let value = self.option_value(word, arguments.next().map(|(_, value)| value))?;
                    value_type.validate(value)?;
                    opts.push(MatchedOpt {
                        name: word.clone(),
                        value: value.to_owned(),
                        r#type: value_type.clone(),
                    });
                }
            }
        }
        self.check_required(&flags, &opts)?;
        let args = positional::resolve(&self.program, &words, &self.args)?;
        Ok(MatchedCall {
            program: self.program.clone(),
            flags,
            opts,
            args,
            system_path: self.system_path.clone(),
        })
    }

    fn option_value<'v>(&self, option: &str, value: Option<&'v String>) -> Result<&'v str, CheckError> {
        let (program, option) = (self.program.clone(), option.to_owned());
        match value {
            None => Err(CheckError::OptionMissingValue { program, option }),
            Some(value) if value.starts_with('-') => Err(CheckError::OptionFollowedByOptionInsteadOfValue {
                program,
                option,
                value: value.clone(),
            }),
            Some(value) => Ok(value),
        }
    }

    fn check_required(&self, flags: &[MatchedFlag], opts: &[MatchedOpt]) -> Result<(), CheckError> {
        let given = |name: &String| {
            flags.iter().any(|flag| flag.name == *name) || opts.iter().any(|opt| opt.name == *name)
        };
        let missing: Vec<String> = self
            .options
            .iter()
            .filter(|(name, option)| option.required && !given(name))
            .map(|(name, _)| name.clone())
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(CheckError::MissingRequiredOptions { program: self.program.clone(), options: missing })
        }
    }
}
