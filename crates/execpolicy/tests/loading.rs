//! Rule files and folders as they are found on a disk.

use std::fs;

use execpolicy::{Command, DecidedBy, Decision, Options, RuleSource, load};

#[test]
fn a_missing_folder_holds_no_rules() {
    let root = tempfile::tempdir().unwrap();
    let policy = load(&[RuleSource::Folder(root.path().join("rules"))]).strict().unwrap();
    assert_eq!(policy.rules().len(), 0);
}

#[test]
fn a_file_in_place_of_the_folder_is_an_error_that_names_it() {
    let root = tempfile::tempdir().unwrap();
    let rules = root.path().join("rules");
    fs::write(&rules, "").unwrap();
    let error = load(&[RuleSource::Folder(rules.clone())]).strict().unwrap_err().to_string();
    assert_eq!(error, format!("failed to read rules files from {}: Not a directory", rules.display()));
}

#[test]
fn only_regular_files_with_the_right_name_are_read_in_order_of_their_names() {
    let root = tempfile::tempdir().unwrap();
    for (name, program) in [("b.rules", "b"), ("a.rules", "a"), ("c.rules.bak", "c"), ("d.txt", "d")] {
        fs::write(root.path().join(name), format!("prefix_rule([\"{program}\"])")).unwrap();
    }
    fs::create_dir(root.path().join("e.rules")).unwrap();
    let policy = load(&[RuleSource::Folder(root.path().to_owned())]).strict().unwrap();
    let files: Vec<_> = policy.rules().map(|rule| rule.origin.file.file_name().unwrap().to_owned()).collect();
    assert_eq!(files, ["a.rules", "b.rules"]);
}

#[test]
fn every_error_of_every_file_is_reported() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.rules"), "prefix_rule([])").unwrap();
    fs::write(root.path().join("b.rules"), "prefix_rule([\"ok\"])\nprefix_rule([\"no\"], \"forbidden\")")
        .unwrap();
    fs::write(root.path().join("c.rules"), "nonsense(").unwrap();
    fs::write(root.path().join("d.rules"), b"\xff").unwrap();
    let sources =
        [RuleSource::Folder(root.path().to_owned()), RuleSource::File(root.path().join("missing.rules"))];
    let error = load(&sources).strict().unwrap_err();
    assert_eq!(error.0.len(), 4, "{error}");
    for name in ["a.rules:1:1", "c.rules:", "d.rules", "missing.rules"] {
        assert!(error.to_string().contains(name), "{name} in {error}");
    }

    let (policy, errors) = load(&sources).keep_going();
    assert_eq!(errors.unwrap().0.len(), 4);
    let decide = |words: &[&str]| {
        let evaluation = policy.evaluate(&Command::from_words(words).unwrap(), &Options::default());
        (evaluation.decision(), evaluation.decided_by())
    };
    assert_eq!(decide(&["ok"]), (Decision::Prompt, DecidedBy::IncompleteRules));
    assert_eq!(decide(&["other"]), (Decision::Prompt, DecidedBy::IncompleteRules));
    assert_eq!(decide(&["no"]), (Decision::Forbidden, DecidedBy::Rule));
}
