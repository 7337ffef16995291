//! The functions that a rules file may call.

#![expect(clippy::too_many_arguments, reason = "they are the arguments of a function of the language")]

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::UnpackDictEntries;
use starlark::values::none::{NoneOr, NoneType};

use super::arguments::{self, Items};
use super::collector::Collector;
use super::examples::Pending;
use super::rights;
use crate::conditions::Conditions;
use crate::decision::Decision;
use crate::errors::RuleError;
use crate::evaluator::{Tagged, fail, state};
use crate::host;
use crate::network::{self, NetworkRule, Protocol};
use crate::patch::PatchRule;
use crate::rights::Profile;
use crate::rule::{Origin, PrefixRule};

/// Rules that one file may make: generated files stay usable, runaway ones end.
const MAX_RULES: usize = 50_000;
/// The same for profiles.
const MAX_PROFILES: usize = 1_000;

/// The arguments of each function, for whoever has mistyped one.
pub(super) const ARGUMENTS: &[(&str, &[&str])] = &[
    (
        "prefix_rule",
        &[
            "pattern",
            "decision",
            "match",
            "not_match",
            "justification",
            "exact",
            "cwd",
            "args_any",
            "deny_args",
            "env",
            "program_paths",
            "by",
            "not_by",
            "until",
            "run",
            "profile",
            "grants",
            "input",
            "overrides_prompt",
        ],
    ),
    (
        "profile",
        &[
            "name",
            "base",
            "run",
            "read",
            "write",
            "hosts",
            "sockets",
            "devices",
            "env",
            "protected",
            "may_run",
            "tty",
            "stdin",
            "warning",
            "justification",
        ],
    ),
    ("host_executable", &["name", "paths"]),
    ("network_rule", &["host", "protocol", "decision", "justification", "ports", "by", "match", "not_match"]),
    ("patch_rule", &["paths", "decision", "justification"]),
];

/// The functions of the language.
#[starlark_module]
pub(super) fn rules(builder: &mut GlobalsBuilder) {
    /// Judges every command that begins with the pattern and fulfils the conditions.
    fn prefix_rule<'v>(
        pattern: Items<'v>,
        #[starlark(default = NoneOr::None)] decision: NoneOr<&'v str>,
        #[starlark(default = NoneOr::None)] r#match: NoneOr<Items<'v>>,
        #[starlark(default = NoneOr::None)] not_match: NoneOr<Items<'v>>,
        #[starlark(default = NoneOr::None)] justification: NoneOr<&'v str>,
        #[starlark(require = named, default = false)] exact: bool,
        #[starlark(require = named, default = NoneOr::None)] cwd: NoneOr<Items<'v>>,
        #[starlark(require = named, default = NoneOr::None)] args_any: NoneOr<Items<'v>>,
        #[starlark(require = named, default = NoneOr::None)] deny_args: NoneOr<Items<'v>>,
        #[starlark(require = named, default = NoneOr::None)] env: NoneOr<
            UnpackDictEntries<Value<'v>, Value<'v>>,
        >,
        #[starlark(require = named, default = NoneOr::None)] program_paths: NoneOr<Items<'v>>,
        #[starlark(require = named, default = NoneOr::None)] by: NoneOr<Items<'v>>,
        #[starlark(require = named, default = NoneOr::None)] not_by: NoneOr<Items<'v>>,
        #[starlark(require = named, default = NoneOr::None)] until: NoneOr<&'v str>,
        #[starlark(require = named, default = NoneOr::None)] run: NoneOr<&'v str>,
        #[starlark(require = named, default = NoneOr::None)] profile: NoneOr<&'v str>,
        #[starlark(require = named, default = NoneOr::None)] grants: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] input: NoneOr<&'v str>,
        #[starlark(require = named, default = false)] overrides_prompt: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let collector = state::<Collector>(eval)?;
        let home = collector.home.as_deref();
        let pattern = arguments::pattern(&pattern)?;
        let conditions = Conditions {
            exact,
            cwd: arguments::path_globs("cwd", cwd.into_option(), home)?,
            args_any: arguments::elements(args_any.into_option())?,
            deny_args: arguments::elements(deny_args.into_option())?,
            env: arguments::environment(env.into_option())?,
            program_paths: arguments::path_globs("program_paths", program_paths.into_option(), home)?,
            by: arguments::programs("by", by.into_option())?,
            not_by: arguments::programs("not_by", not_by.into_option())?,
            until: arguments::time("until", until.into_option())?,
        };
        let decision = arguments::decision(decision.into_option().unwrap_or("allow"))?;
        let run = rights::run(run.into_option(), decision)?;
        let profile = rights::profile(profile.into_option(), decision)?;
        let grants = rights::rule_grants(grants.into_option(), run, decision)?;
        let input = input.into_option().map(arguments::decision).transpose()?;
        if input.is_some() && decision == Decision::Forbidden {
            return Err(fail(RuleError::Rule("input is for rules that may let a program run".into())));
        }
        let justification = arguments::justification(justification.into_option())?;
        let origin = origin(eval, collector);
        if overrides_prompt && decision != Decision::Allow {
            return Err(fail(RuleError::Rule("overrides_prompt is for rules that allow".into())));
        }
        let matching = arguments::examples(r#match.into_option())?;
        let not_matching = arguments::examples(not_match.into_option())?;
        let mut declared = collector.declared.borrow_mut();
        let first = declared.rules.len();
        declared.rules.extend(PrefixRule::for_each_program(pattern, |program, arguments| PrefixRule {
            program,
            arguments,
            conditions: conditions.clone(),
            decision,
            run,
            profile: profile.clone(),
            grants: grants.clone(),
            input,
            overrides_prompt,
            justification: justification.clone(),
            origin: origin.clone(),
        }));
        if declared.rules.len() > MAX_RULES {
            return Err(fail(RuleError::TooMany(MAX_RULES)));
        }
        let rules = first..declared.rules.len();
        let span = eval.call_stack_top_location();
        collector.pending.borrow_mut().push(Pending { span, rules, matching, not_matching });
        Ok(NoneType)
    }

    /// Gives grants a name.
    fn profile<'v>(
        name: &'v str,
        #[starlark(require = named, default = NoneOr::None)] base: NoneOr<&'v str>,
        #[starlark(require = named, default = NoneOr::None)] run: NoneOr<&'v str>,
        #[starlark(require = named, default = NoneOr::None)] read: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] write: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] hosts: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] sockets: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] devices: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] env: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] protected: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] may_run: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] tty: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] stdin: NoneOr<Value<'v>>,
        #[starlark(require = named, default = NoneOr::None)] warning: NoneOr<&'v str>,
        #[starlark(require = named, default = NoneOr::None)] justification: NoneOr<&'v str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let collector = state::<Collector>(eval)?;
        let values = [read, write, hosts, sockets, devices, env, protected, may_run, tty, stdin];
        let values = values.into_iter().map(NoneOr::into_option);
        let members = rights::MEMBERS.iter().copied().zip(values);
        let profile = Profile {
            name: rights::profile_name(name)?,
            base: base.into_option().map(rights::profile_name).transpose()?,
            run: run.into_option().map(rights::way_to_run).transpose()?,
            grants: rights::grants(members.filter_map(|(name, value)| Some((name, value?))))?,
            warning: arguments::justification(warning.into_option())?,
            justification: arguments::justification(justification.into_option())?,
            origin: origin(eval, collector),
        };
        let mut declared = collector.declared.borrow_mut();
        declared.profiles.push(profile);
        if declared.profiles.len() > MAX_PROFILES {
            return Err(fail(RuleError::Rule(format!(
                "a rules file may not make more than {MAX_PROFILES} profiles"
            ))));
        }
        Ok(NoneType)
    }

    /// The hosts that the configuration of a tool names, in a list of hosts.
    fn configured_hosts<'v>(#[starlark(require = pos)] tool: &'v str) -> starlark::Result<Tagged> {
        Ok(Tagged::new(rights::CONFIGURED_HOSTS, rights::tool(tool)?.word()))
    }

    /// Lists the files that a bare program name may stand for in rules that allow.
    fn host_executable<'v>(
        name: &'v str,
        paths: Items<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let collector = state::<Collector>(eval)?;
        let paths = arguments::strings("host_executable paths", &paths)?;
        let paths = host::parse(name, &paths, collector.home.as_deref())
            .map_err(|what| fail(RuleError::Rule(what)))?;
        collector.declared.borrow_mut().hosts.define(name.to_owned(), paths);
        Ok(NoneType)
    }

    /// Judges what may be reached over the network.
    fn network_rule<'v>(
        host: &'v str,
        #[starlark(default = NoneOr::None)] protocol: NoneOr<&'v str>,
        #[starlark(default = NoneOr::None)] decision: NoneOr<&'v str>,
        #[starlark(default = NoneOr::None)] justification: NoneOr<&'v str>,
        #[starlark(require = named, default = NoneOr::None)] ports: NoneOr<Items<'v>>,
        #[starlark(require = named, default = NoneOr::None)] by: NoneOr<Items<'v>>,
        #[starlark(require = named, default = NoneOr::None)] r#match: NoneOr<Items<'v>>,
        #[starlark(require = named, default = NoneOr::None)] not_match: NoneOr<Items<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let collector = state::<Collector>(eval)?;
        let rule = |what| fail(RuleError::Rule(what));
        let protocol = protocol.into_option().map(Protocol::from_word).transpose().map_err(rule)?;
        let decision = decision.into_option().ok_or_else(|| rule("network_rule needs a decision".into()))?;
        let made = NetworkRule {
            host: network::host(host).map_err(rule)?,
            protocol,
            ports: arguments::ports(ports.into_option())?,
            decision: network::decision_from_word(decision)
                .ok_or_else(|| fail(RuleError::NetworkDecision(decision.to_owned())))?,
            justification: arguments::justification(justification.into_option())?,
            by: arguments::programs("network_rule by", by.into_option())?,
            origin: origin(eval, collector),
        };
        for (examples, matches) in [(r#match, true), (not_match, false)] {
            let Some(examples) = examples.into_option() else { continue };
            for text in arguments::strings("network_rule examples", &examples)? {
                let (host, port) = network::example(text).map_err(rule)?;
                if made.fits(&host, port) != matches {
                    let not = if matches { "does not match" } else { "matches" };
                    return Err(rule(format!("the network_rule {not} its example `{text}`")));
                }
            }
        }
        collector.declared.borrow_mut().network.push(made);
        Ok(NoneType)
    }

    /// Judges which files a patch may change.
    fn patch_rule<'v>(
        paths: Items<'v>,
        decision: &'v str,
        #[starlark(default = NoneOr::None)] justification: NoneOr<&'v str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let collector = state::<Collector>(eval)?;
        let rule = PatchRule {
            paths: arguments::patch_globs(&paths, collector.home.as_deref())?,
            decision: arguments::decision(decision)?,
            justification: arguments::justification(justification.into_option())?,
            origin: origin(eval, collector),
        };
        let mut declared = collector.declared.borrow_mut();
        declared.patches.push(rule);
        if declared.patches.len() > MAX_RULES {
            return Err(fail(RuleError::TooMany(MAX_RULES)));
        }
        Ok(NoneType)
    }

    /// An element that fits by a regular expression over the whole argument.
    fn regex<'v>(#[starlark(require = pos)] expression: &'v str) -> starlark::Result<Tagged> {
        checked(Tagged::new(arguments::REGEX, expression))
    }

    /// An element that fits by a glob over the whole argument.
    fn glob<'v>(#[starlark(require = pos)] glob: &'v str) -> starlark::Result<Tagged> {
        checked(Tagged::new(arguments::GLOB, glob))
    }
}

/// Reports a bad expression where it is written rather than where it is used.
fn checked(value: Tagged) -> starlark::Result<Tagged> {
    match arguments::expression(&value) {
        Ok(_) => Ok(value),
        Err(what) => Err(fail(RuleError::Pattern(what))),
    }
}

fn origin(eval: &Evaluator<'_, '_, '_>, collector: &Collector) -> Origin {
    let begin = eval.call_stack_top_location().map(|span| span.resolve().span.begin);
    let (line, column) = begin.map_or((0, 0), |begin| (begin.line + 1, begin.column + 1));
    Origin { file: collector.file.clone(), line, column }
}
