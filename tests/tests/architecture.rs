//! Arrows go down: what ARCHITECTURE.md says about rooms holds in the code.
//!
//! The allowed order stands once, in its blocks that begin with `rooms`; each line names the rooms of one level. Paths that
//! begin with `crate::` or `super::` are the arrows, in `use` lines and elsewhere. Unit tests may look anywhere.

#![expect(clippy::expect_used, reason = "a test that cannot read the sources fails")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

type Module = Vec<String>;

/// Files that hold each other because what they describe does: a store knows its outputs, and an output its store.
const RECURSIVE: &[&str] = &["output::head_and_tail", "output::recording", "output::spool"];

/// Folders and files whose code may depend on the system; everything else is the same everywhere.
const SYSTEM_PLACES: &[&str] = &["backend", "sys", "sys.rs"];

/// One crate's rooms, and the level of each: 0 is the topmost.
struct Rooms {
    source: PathBuf,
    levels: HashMap<String, usize>,
}

/// Which module names which item where.
type Arrows = BTreeMap<Module, BTreeSet<Module>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

fn rooms() -> Vec<Rooms> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let blocks = text.split("```rooms ").skip(1).map(|block| block.split("```").next().expect("a block"));
    let read = |block: &str| {
        let (source, lines) = block.split_once('\n').expect("lines");
        // What follows two spaces is a remark.
        let names = |line: &str| line.split("  ").next().unwrap_or_default().to_owned();
        let lines = lines.lines().map(names).enumerate();
        let levels = lines.flat_map(|(level, names)| {
            names.split_whitespace().map(|name| (name.to_owned(), level)).collect::<Vec<_>>()
        });
        Rooms { source: root().join(source.trim()), levels: levels.collect() }
    };
    blocks.map(read).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn module(source: &Path, file: &Path) -> Module {
    let path = file.strip_prefix(source).expect("below").with_extension("");
    let mut names: Module = path.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|name| name == "mod" || name == "lib") {
        names.pop();
    }
    names
}

/// The code of a file, without comments and unit tests.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("a source file");
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths of a `use` tree: `a::{b, c::d}` is two.
fn paths(tree: &str) -> Vec<Module> {
    let mut found = Vec::new();
    let (head, group) = match tree.split_once('{') {
        Some((head, rest)) => (head, rest.rsplit_once('}').map(|(group, _)| group)),
        None => (tree, None),
    };
    let head: Module =
        head.split("::").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    let Some(group) = group else { return vec![head] };
    let (mut depth, mut part) = (0, String::new());
    for character in group.chars().chain([',']) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let inner = paths(&std::mem::take(&mut part));
                found.extend(inner.into_iter().map(|inner| head.iter().cloned().chain(inner).collect()));
                continue;
            }
            _ => {}
        }
        part.push(character);
    }
    found
}

/// Every path in the code that begins with `crate` or `super`, as seen from the crate's root.
fn named(code: &str, module: &[String]) -> BTreeSet<Module> {
    let is_part = |character: char| character.is_alphanumeric() || "_:".contains(character);
    let mut found = BTreeSet::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code.get(..at).unwrap_or_default();
            if before.ends_with(is_part) {
                continue;
            }
            let rest = code.get(at..).unwrap_or_default();
            let plain = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
            let is_group = rest.get(plain..).is_some_and(|rest| rest.starts_with('{'));
            let end = if is_group { rest.find(';').unwrap_or(plain) } else { plain };
            for path in paths(rest.get(..end).unwrap_or_default()) {
                let up = path.iter().take_while(|name| *name == "super").count();
                let base = if up > 0 { module.len().saturating_sub(up) } else { 0 };
                let below = path.into_iter().skip(up.max(1));
                found.insert(module.iter().take(base).cloned().chain(below).collect());
            }
        }
    }
    found
}

/// Whether code is compiled for some systems only.
fn asks_for_system(code: &str) -> bool {
    let asked = ["cfg(", "cfg!(", "cfg_attr("]
        .iter()
        .flat_map(|start| code.match_indices(start).filter_map(|(at, start)| code.get(at + start.len()..)));
    asked.map(condition).any(|condition| {
        let mut words = condition.split(|character: char| !(character.is_alphanumeric() || character == '_'));
        words.any(|word| word.starts_with("target_") || ["unix", "windows"].contains(&word))
    })
}

/// What stands before the bracket that closes.
fn condition(text: &str) -> &str {
    let mut depth = 1;
    let end = text.find(|character| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        depth == 0
    });
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

fn arrows(source: &Path) -> Arrows {
    let files = files(source).into_iter().filter(|file| !file.ends_with("tests.rs"));
    files
        .map(|file| {
            let module = module(source, &file);
            let named = named(&code(&file), &module);
            (module, named)
        })
        .collect()
}

#[test]
fn arrows_between_rooms_go_down() {
    let rooms = rooms();
    assert_eq!(rooms.len(), 3, "the rooms of three crates are in ARCHITECTURE.md");
    let mut wrong = BTreeSet::new();
    for Rooms { source, levels } in &rooms {
        for (module, named) in arrows(source) {
            // The crate's root composes.
            let Some(room) = module.first() else { continue };
            let level = levels.get(room);
            if level.is_none() {
                wrong.insert(format!("{room} has no place in ARCHITECTURE.md"));
            }
            let others = named.iter().filter_map(|path| path.first()).filter(|other| *other != room);
            for other in others.filter(|other| levels.get(*other) <= level && levels.contains_key(*other)) {
                wrong.insert(format!("{room} -> {other} (in {})", module.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows go up:\n{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn files_are_in_no_circle() {
    let mut circles = Vec::new();
    for Rooms { source, .. } in &rooms() {
        let arrows = arrows(source);
        let file_of = |path: &Module| {
            (1..=path.len())
                .rev()
                .map(|length| path[..length].to_vec())
                .find(|file| arrows.contains_key(file))
        };
        let direct = |module: &Module| -> BTreeSet<Module> {
            let named = arrows.get(module).into_iter().flatten().filter_map(file_of);
            named.filter(|file| file != module).collect()
        };
        let reachable = |from: &Module| {
            let (mut seen, mut ahead) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(module) = ahead.pop() {
                ahead.extend(direct(&module).into_iter().filter(|next| seen.insert(next.clone())));
            }
            seen
        };
        let in_circle =
            arrows.keys().filter(|module| !module.is_empty() && reachable(module).contains(*module));
        let in_circle = in_circle.map(|module| module.join("::"));
        circles.extend(in_circle.filter(|module| !RECURSIVE.contains(&module.as_str())));
    }
    assert!(circles.is_empty(), "these files are in a circle: {}", circles.join(", "));
}

#[test]
fn each_crate_asks_in_one_place_which_system_this_is() {
    let crates = files(&root().join("crates")).into_iter().chain(files(&root().join("exec-server")));
    let all = crates.chain(files(&root().join("execve-wrapper")));
    let is_place = |file: &Path| {
        let path = file.strip_prefix(root()).expect("below the root");
        // Tests may ask, and so may what is built apart.
        let is_source = path.components().any(|part| part.as_os_str() == "src");
        let mut names = path.iter().map(|name| name.to_string_lossy());
        !is_source || names.any(|name| SYSTEM_PLACES.contains(&&*name))
    };
    let asking = all.filter(|file| !is_place(file) && asks_for_system(&code(file)));
    let names: Vec<String> = asking.map(|file| file.display().to_string()).collect();
    assert!(names.is_empty(), "these ask which system this is, outside of `sys`:\n{}", names.join("\n"));
}

#[test]
fn a_question_for_the_system_is_seen_however_it_is_written() {
    for code in [
        "#[cfg(target_os = \"linux\")]",
        "#[cfg(not(unix))]",
        "if cfg!(target_os = \"linux\") {}",
        "#[cfg_attr(all(test, target_vendor = \"apple\"), expect(x))]",
        "#[cfg(any(test,\n windows))]",
    ] {
        assert!(asks_for_system(code), "{code}");
    }
    for code in ["#[cfg(test)] use std::os::unix::fs;", "#[cfg(feature = \"alloc\")]", "cfg!(test) || unix()"]
    {
        assert!(!asks_for_system(code), "{code}");
    }
}

#[test]
fn an_arrow_is_seen_however_it_is_written() {
    let module = ["a", "b"].map(str::to_owned);
    let seen = |code: &str| -> Vec<String> {
        named(code, &module).into_iter().map(|path| path.join("::")).collect()
    };
    assert_eq!(seen("use crate::x::{Y, z::W};"), ["x::Y", "x::z::W"]);
    assert_eq!(seen("use crate::{x::Y, z};"), ["x::Y", "z"]);
    assert_eq!(seen("use super::c::D; pub(in crate::a) fn f() -> crate::x::Y {}"), ["a", "a::c::D", "x::Y"]);
    assert_eq!(seen("use super::super::e;"), ["e"]);
    assert!(seen("use other_crate::x; mysuper::y()").is_empty());
}
