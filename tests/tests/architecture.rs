//! Arrows go down: what ARCHITECTURE.md says about rooms holds in the code.
//!
//! The allowed order stands once, in its blocks that begin with `rooms`; each line names the rooms of one level. Paths
//! that begin with `crate::`, `super::`, `self::` or the name of a module below are the arrows, in `use` lines and
//! elsewhere. What is named where it is only re-exported is looked for where it is. Unit tests may look anywhere:
//! `mod tests`, and files of that name.

#![expect(clippy::expect_used, reason = "a test that cannot read the sources fails")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

type Module = Vec<String>;

/// Folders and files whose code may depend on the system; everything else is the same everywhere.
const SYSTEM_PLACES: &[&str] = &["kernel", "backend", "sys", "sys.rs"];

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
    without_tests(&std::fs::read_to_string(file).expect("a source file"))
}

fn without_tests(text: &str) -> String {
    let start = text.match_indices("#[cfg(test)]\n").find(|(at, start)| {
        let next = text.get(at + start.len()..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        next.starts_with("mod tests {") || next.starts_with("pub") && next.ends_with(" mod tests {")
    });
    let (before, tests) = start.and_then(|(at, _)| text.split_at_checked(at)).unwrap_or((text, ""));
    // What is indented, and empty lines, are theirs.
    let after = tests.split_once("\n}\n").map_or("", |(_, after)| after);
    let lines = before.lines().chain(after.lines()).map(|line| line.split("//").next().unwrap_or_default());
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

/// The `use` lines that name for others what is elsewhere, and the code without them.
fn without_reexports(code: &str) -> (Vec<&str>, String) {
    let (mut reexports, mut rest) = (Vec::new(), String::new());
    for statement in code.split_inclusive(';') {
        let start = statement.lines().position(|line| line.starts_with("pub")).unwrap_or(usize::MAX);
        let lines: Vec<&str> = statement.lines().collect();
        let is_one = lines.get(start).is_some_and(|line| {
            let visible = line.strip_prefix("pub").unwrap_or_default();
            visible
                .split_once("use ")
                .is_some_and(|(scope, _)| scope.trim().is_empty() || scope.ends_with(") "))
        });
        match statement.find("use ").filter(|_| is_one) {
            Some(at) => reexports.push(statement.get(at + "use ".len()..).unwrap_or_default()),
            None => rest.push_str(statement),
        }
    }
    (reexports, rest)
}

/// What a module's re-exports name, and where that is.
fn reexports(trees: &[&str], module: &[String]) -> Vec<(Module, Module)> {
    let all = trees.iter().flat_map(|tree| paths(tree.trim_end_matches(';')));
    let pairs = all.filter_map(|path| {
        let (last, folder) = path.split_last()?;
        let (real, alias) = last.split_once(" as ").unwrap_or((last, last));
        let target = folder.iter().cloned().chain([real.to_owned()]).collect();
        Some((module.iter().cloned().chain([alias.to_owned()]).collect(), absolute(target, module)))
    });
    pairs.collect()
}

/// The modules of a file that are open where this code ends.
fn inline_modules(code: &str) -> Vec<String> {
    let mut open: Vec<(usize, String)> = Vec::new();
    for line in code.lines() {
        let (indent, text) = (line.len() - line.trim_start().len(), line.trim());
        let name = text
            .strip_suffix(" {")
            .and_then(|text| text.strip_prefix("mod ").or_else(|| Some(text.split_once(" mod ")?.1)));
        match name {
            Some(name) => open.push((indent, name.to_owned())),
            None if text == "}" => open.retain(|(known, _)| *known < indent),
            None => {}
        }
    }
    open.into_iter().map(|(_, name)| name).collect()
}

/// A path as seen from the crate's root.
fn absolute(path: Module, module: &[String]) -> Module {
    let up = path.iter().take_while(|name| *name == "super").count();
    let base = match path.first().map(String::as_str) {
        Some("crate") => 0,
        _ => module.len().saturating_sub(up),
    };
    let below = path.into_iter().filter(|name| !["crate", "super", "self"].contains(&name.as_str()));
    module.iter().take(base).cloned().chain(below).collect()
}

/// Every path in the code that begins with `crate`, `super`, `self` or one of the modules below, as seen from the
/// crate's root.
fn named(code: &str, module: &[String], children: &[String]) -> BTreeSet<Module> {
    let is_part = |character: char| character.is_alphanumeric() || "_:".contains(character);
    let mut found = BTreeSet::new();
    let starts = ["crate", "super", "self"].map(str::to_owned);
    for start in starts.iter().chain(children).map(|name| format!("{name}::")) {
        for (at, _) in code.match_indices(&start) {
            let before = code.get(..at).unwrap_or_default();
            if before.ends_with(is_part) {
                continue;
            }
            let rest = code.get(at..).unwrap_or_default();
            let plain = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
            let is_group = rest.get(plain..).is_some_and(|rest| rest.starts_with('{'));
            let end = if is_group { rest.find(';').unwrap_or(plain) } else { plain };
            let all = paths(rest.get(..end).unwrap_or_default());
            let module: Module =
                module.iter().cloned().chain(inline_modules(code.get(..at).unwrap_or_default())).collect();
            found.extend(all.into_iter().map(|path| absolute(path, &module)));
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
    let codes: BTreeMap<Module, String> = files.map(|file| (module(source, &file), code(&file))).collect();
    let mut elsewhere = BTreeMap::new();
    let mut arrows = Arrows::new();
    for (module, code) in &codes {
        let below = codes.keys().filter(|other| other.len() == module.len() + 1 && other.starts_with(module));
        // The crate's root composes.
        let children: Vec<String> = match module.is_empty() {
            true => Vec::new(),
            false => below.filter_map(|child| child.last().cloned()).collect(),
        };
        let (trees, rest) = without_reexports(code);
        elsewhere.extend(reexports(&trees, module).into_iter().filter(|(name, target)| name != target));
        arrows.insert(module.clone(), named(&rest, module, &children));
    }
    for named in arrows.values_mut() {
        *named = named.iter().map(|path| real(path, &elsewhere, |path| codes.contains_key(path))).collect();
    }
    arrows
}

/// Where that really is which a path may name by re-exports. A module and what it holds may have one name.
fn real(
    path: &Module,
    elsewhere: &BTreeMap<Module, Module>,
    is_module: impl Fn(&[String]) -> bool,
) -> Module {
    let mut path = path.clone();
    while let Some((length, target)) = (1..=path.len())
        .filter(|length| *length == path.len() || !is_module(&path[..*length]))
        .find_map(|length| Some((length, elsewhere.get(&path[..length])?)))
    {
        path = target.iter().chain(&path[length..]).cloned().collect();
        assert!(path.len() < 12, "a circle of re-exports: {}", path.join("::"));
    }
    path
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
            for other in named.iter().filter_map(|path| path.first()).filter(|other| *other != room) {
                if levels.get(other) <= level {
                    wrong.insert(format!("{room} -> {other} (in {})", module.join("::")));
                }
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
        circles.extend(in_circle.map(|module| module.join("::")));
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
        let found = named(code, &module, &["child".to_owned()]);
        found.into_iter().map(|path| path.join("::")).collect()
    };
    assert_eq!(seen("use crate::x::{Y, z::W};"), ["x::Y", "x::z::W"]);
    assert_eq!(seen("use crate::{x::Y, z};"), ["x::Y", "z"]);
    assert_eq!(seen("use super::c::D; pub(in crate::a) fn f() -> crate::x::Y {}"), ["a", "a::c::D", "x::Y"]);
    assert_eq!(seen("use super::super::e;"), ["e"]);
    assert_eq!(
        seen("use self::f; use child::G; child::h()"),
        ["a::b::child::G", "a::b::child::h", "a::b::f"]
    );
    assert_eq!(seen("mod inner {\n    use super::f;\n}\nuse super::g;"), ["a::b::f", "a::g"]);
    assert!(seen("use other_crate::x; mysuper::y(); grandchild::z()").is_empty());
    assert_eq!(
        without_tests("a\n#[cfg(test)]\nmod tests {\n    b\n\n    c\n}\n\nfn d() {} // e\n"),
        "a\n\nfn d() {} "
    );
}

#[test]
fn what_is_re_exported_is_found_where_it_is() {
    let module = ["a"].map(str::to_owned);
    let code =
        "mod b;\n\npub use b::{C, d::E as F, b};\npub(crate) use super::g::H;\nuse b::I;\npub use_less: u8;";
    let (trees, rest) = without_reexports(code);
    assert_eq!(rest, "mod b;\nuse b::I;\npub use_less: u8;");
    let known: BTreeMap<Module, Module> = reexports(&trees, &module).into_iter().collect();
    let real = |path: &str| {
        let path = path.split("::").map(str::to_owned).collect();
        real(&path, &known, |path| path == ["a", "b"]).join("::")
    };
    assert_eq!(
        ["a::C::new", "a::F", "a::H", "a::b::C", "a::b", "x"].map(real),
        ["a::b::C::new", "a::b::d::E", "g::H", "a::b::C", "a::b::b", "x"]
    );
}
