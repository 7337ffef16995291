//! What rules give to the program that they let run: each by itself, and all of them together.

use std::ffi::OsString;

use crate::amend::{beginnings, runs_what_it_is_given};
use crate::command::basename;
use crate::decision::Decision;
use crate::errors::{ParseError, Problem};
use crate::evaluate::Options;
use crate::evaluation::{Evaluation, RuleMatch};
use crate::origin::Origin;
use crate::policy::Policy;
use crate::rights::{Grants, Rights, Run, Source, WholeProfile};
use crate::rule::{PrefixRule, RuleGrants};

/// Words of a command that say whether it runs what it is given.
const MOST_WORDS: usize = 16;

/// What a rule gives that lets a program run and says nothing of its rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plain {
    /// All that the user has, but for what runs what it is given (for a short time).
    #[default]
    Outside,
    /// What its kind of program needs: a profile of its name, else inside what runs what it is given, else outside.
    ByProgram,
    /// Everything, as in Codex.
    Unconfined,
}

impl Policy {
    /// What the rules give to the program itself that say the same about it as the one that decides.
    pub(crate) fn rights(
        &self,
        (matches, command): (&[RuleMatch], &[OsString]),
        deciding: Option<&RuleMatch>,
        options: &Options,
    ) -> Rights {
        let Some(deciding) = deciding.filter(|one| one.part == 0 && one.rule.decision < Decision::Forbidden)
        else {
            return Rights::none();
        };
        let own = self.rights_by(&deciding.rule, command, options);
        let others = matches.iter().filter(|one| counts(one, deciding) && !std::ptr::eq(*one, deciding));
        let rights = others.map(|one| self.rights_by(&one.rule, command, options)).fold(own, Rights::common);
        let bounded = self.caps().bound(rights);
        Rights { caps: std::sync::Arc::clone(self.caps()), ..bounded }
    }

    /// What each rule that counts gives to the program of an evaluation, where they do not give the same.
    #[must_use]
    pub fn differing_rights(&self, evaluation: &Evaluation, options: &Options) -> Vec<Rights> {
        let Some(deciding) = evaluation.deciding_rule() else { return Vec::new() };
        let command = evaluation.commands().first().map(Vec::as_slice).unwrap_or_default();
        let counting = evaluation.matches().iter().filter(|one| counts(one, deciding));
        let all: Vec<Rights> = counting.map(|one| self.rights_by(&one.rule, command, options)).collect();
        let differ = all.windows(2).any(|two| matches!(two, [one, other] if !one.are_those_of(other)));
        if differ { all } else { Vec::new() }
    }

    /// What one rule gives to the program of a command, within no bounds.
    pub(crate) fn rights_by(&self, rule: &PrefixRule, command: &[OsString], options: &Options) -> Rights {
        let rights = Rights { origin: Some(rule.origin.clone()), source: Source::Rule, ..Rights::none() };
        let missing = || Rights { source: Source::Missing, ..rights.clone() };
        let whole = |name: &str| self.profiles().whole(name, &rule.origin);
        let extra = match &rule.grants {
            None => None,
            Some(RuleGrants::These(grants)) => Some(grants.clone()),
            Some(RuleGrants::OfProfile(name)) => match whole(name.as_str()) {
                Ok(profile) => Some(profile.grants),
                Err(_) => return missing(),
            },
        };
        match (&rule.profile, extra) {
            (Some(name), extra) => match whole(name.as_str()) {
                Ok(profile) => {
                    let run = rule.run.unwrap_or(profile.run);
                    let grants = extra.map_or(profile.grants.clone(), |extra| profile.grants.and(&extra));
                    Rights { run, grants, profile: Some(profile.name), ..rights }
                }
                Err(_) => missing(),
            },
            (None, Some(grants)) => Rights { run: rule.run.unwrap_or(Run::Inside), grants, ..rights },
            (None, None) => self.without_grants(rule, command, options, rights),
        }
    }

    fn without_grants(
        &self,
        rule: &PrefixRule,
        command: &[OsString],
        options: &Options,
        rights: Rights,
    ) -> Rights {
        let by_profile = |profile: WholeProfile, run: Run, source: Source| Rights {
            run,
            grants: profile.grants,
            profile: Some(profile.name),
            source,
            ..rights.clone()
        };
        let of_program = || {
            let name = basename(command.first()?.as_encoded_bytes());
            self.profiles().of_program(std::str::from_utf8(name).ok()?, &rule.origin)
        };
        match (rule.run, options.plain) {
            // What it may do is what its profile names.
            (Some(Run::Confined), _) => match of_program() {
                Some(profile) => by_profile(profile, Run::Confined, Source::Rule),
                None => Rights { run: Run::Confined, ..rights },
            },
            (Some(run @ (Run::Inside | Run::Outside | Run::Unconfined)), _) => Rights { run, ..rights },
            (None, Plain::Outside) => Rights { run: Run::Outside, source: Source::PlainRule, ..rights },
            (None, Plain::Unconfined) => Rights { run: Run::Unconfined, source: Source::PlainRule, ..rights },
            (None, Plain::ByProgram) => {
                if let Some(profile) = of_program() {
                    let run = profile.run;
                    return by_profile(profile, run, Source::ProfileOfProgram);
                }
                let words: Vec<_> =
                    command.iter().take(MOST_WORDS).map(|word| word.to_string_lossy()).collect();
                match runs_what_it_is_given(&words) {
                    Some(why) => {
                        Rights { run: Run::Inside, source: Source::RunsWhatItIsGiven(why), ..rights }
                    }
                    None => Rights { run: Run::Outside, source: Source::PlainRule, ..rights },
                }
            }
        }
    }

    /// The rules that give a program the user's rights, or everything, by file and line.
    #[must_use]
    pub fn giving_the_users_rights(&self, options: &Options) -> Vec<(Origin, Run)> {
        let given = |rule: &PrefixRule| {
            let words: Vec<OsString> =
                beginnings(rule).into_iter().next().unwrap_or_default().iter().map(OsString::from).collect();
            let rights = self.caps().bound(self.rights_by(rule, &words, options));
            rights.run.has_the_users_rights().then(|| (rule.origin.clone(), rights.run))
        };
        let lets_run = self.rules().filter(|rule| rule.decision < Decision::Forbidden);
        let mut found: Vec<_> = lets_run.filter_map(given).collect();
        // Alternatives make several rules of one call.
        found.dedup();
        found
    }

    /// What is wrong between files that are good by themselves: profiles that are named and not there, or there twice.
    #[must_use]
    pub fn problems(&self) -> Vec<ParseError> {
        let mut found = Vec::new();
        for (second, first) in self.profiles().twice() {
            let what = format!("profile \"{}\" is there already, at {}", second.name, first.origin);
            found.push(problem(&second.origin, what));
        }
        for profile in self.profiles().written() {
            if let Err(what) = self.profiles().whole(profile.name.as_str(), &profile.origin) {
                found.push(problem(&profile.origin, what));
            }
        }
        for rule in self.rules() {
            let of_grants = match &rule.grants {
                Some(RuleGrants::OfProfile(name)) => Some(name),
                Some(RuleGrants::These(_)) | None => None,
            };
            for name in rule.profile.iter().chain(of_grants) {
                if let Err(what) = self.profiles().whole(name.as_str(), &rule.origin) {
                    found.push(problem(&rule.origin, what));
                }
            }
        }
        // Alternatives make several rules of one call.
        found.dedup_by_key(|error| error.to_string());
        found
    }

    /// What a profile gives to a program that no rule speaks about, as a rule in this place would mean it.
    #[must_use]
    pub fn rights_by_profile(&self, name: &str, origin: &Origin) -> Option<Rights> {
        Some(self.rights_of(origin.clone(), self.profile(name, origin)?))
    }

    fn rights_of(&self, origin: Origin, profile: WholeProfile) -> Rights {
        let bounded = self.caps().bound(Rights {
            run: profile.run,
            grants: profile.grants,
            profile: Some(profile.name),
            origin: Some(origin),
            source: Source::ProfileOfProgram,
            ..Rights::none()
        });
        Rights { caps: std::sync::Arc::clone(self.caps()), ..bounded }
    }

    /// What the profile of a program's name gives, as the narrowest rules would mean it, or one in this place; nothing
    /// where there is none.
    #[must_use]
    pub fn rights_of_program(&self, name: &str, origin: Option<&Origin>) -> Option<Rights> {
        let profile = match origin {
            Some(origin) => self.profiles().of_program(name, origin)?,
            None => self.profiles().of_program_in_force(name)?,
        };
        Some(self.rights_of(profile.origin.clone(), profile))
    }

    /// What rules and profiles grant as it is written, each with who does.
    pub fn written_grants(&self) -> impl Iterator<Item = (String, &Grants)> {
        let of_rules = self.rules().filter_map(|rule| match &rule.grants {
            Some(RuleGrants::These(grants)) => Some((rule.origin.to_string(), grants)),
            Some(RuleGrants::OfProfile(_)) | None => None,
        });
        let profiles = self.profiles().written();
        let of_profiles = profiles
            .map(|profile| (format!("{}: profile \"{}\"", profile.origin, profile.name), &profile.grants));
        of_rules.chain(of_profiles)
    }

    /// All profiles that the narrowest rules see, by name.
    #[must_use]
    pub fn profiles_in_force(&self) -> Vec<WholeProfile> {
        self.profiles().in_force()
    }

    /// What each rule that lets something run and says nothing of rights gives now, where it once gave all that the user
    /// has: the rule, and the rights.
    #[must_use]
    pub fn changes(&self, options: &Options) -> Vec<(&PrefixRule, Rights)> {
        let says_nothing = |rule: &&PrefixRule| {
            rule.decision < Decision::Forbidden
                && rule.run.is_none()
                && rule.profile.is_none()
                && rule.grants.is_none()
        };
        let now = |rule| {
            let words: Vec<OsString> =
                beginnings(rule).into_iter().next().unwrap_or_default().iter().map(OsString::from).collect();
            (rule, self.caps().bound(self.rights_by(rule, &words, options)))
        };
        self.rules().filter(says_nothing).map(now).collect()
    }

    /// The profile of a name as a rule in this place would mean it.
    #[must_use]
    pub fn profile(&self, name: &str, origin: &Origin) -> Option<WholeProfile> {
        self.profiles().whole(name, origin).ok()
    }
}

/// Whether a rule says the same about the program itself as the one that decides, or asked what that one settles.
fn counts(one: &RuleMatch, deciding: &RuleMatch) -> bool {
    let is_settled = deciding.rule.overrides_prompt && one.rule.decision == Decision::Prompt;
    one.part == 0 && (one.rule.decision == deciding.rule.decision || is_settled)
}

fn problem(origin: &Origin, message: String) -> ParseError {
    let Origin { file, line, column } = origin;
    let rendered = format!("error: {message}\n --> {}:{line}:{column}", file.display());
    let problem = Problem { message, position: Some((*line, *column)), rendered };
    ParseError::Rules { file: file.to_path_buf(), problem: Box::new(problem) }
}
