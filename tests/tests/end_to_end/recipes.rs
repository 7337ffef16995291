//! `docs/recipes.md`: each recipe's commands do what they should, by its rules, with the real tool.

use std::path::Path;
use std::process::Command;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::lines::run_subcommand;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/recipes.md");

/// What a recipe's commands work on, made by a script outside; its tool is the first word.
const PREPARED: &[(&str, &str, &str)] = &[
    (
        "Git without questions",
        "git",
        "git init -q -b main . && git config user.name a && git config user.email a@b && git commit -q --allow-empty -m first && \
         git init -q --bare -b main bare.git && git remote add origin \"$PWD/bare.git\" && echo bare.git > .git/info/exclude && touch file",
    ),
    (
        "Packages of npm",
        "npm",
        "echo '{\"name\":\"p\",\"version\":\"1.0.0\",\"lockfileVersion\":3,\"requires\":true,\"packages\":{\"\":{\"name\":\"p\",\"version\":\"1.0.0\"}}}' > package-lock.json && \
         echo '{\"name\":\"p\",\"version\":\"1.0.0\",\"scripts\":{\"test\":\"echo tested\"}}' > package.json",
    ),
    (
        "Cargo",
        "cargo",
        "mkdir src && printf '[package]\\nname = \"p\"\\nversion = \"0.1.0\"\\nedition = \"2021\"\\n[workspace]\\n' > Cargo.toml && \
         printf '#[test]\\nfn one() {}\\nfn main() {}\\n' > src/main.rs",
    ),
    (
        "Python's packages",
        "pip3",
        "python3 - <<'END'\nimport zipfile\nwheel = zipfile.ZipFile('tool-1-py3-none-any.whl', 'w')\nwheel.writestr('tool.py', 'x = 1\\n')\n\
         info = 'tool-1.dist-info/'\nwheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: tool\\nVersion: 1\\n')\n\
         wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
         wheel.writestr(info + 'RECORD', '')\nwheel.close()\nEND",
    ),
    (
        "Go",
        "go",
        "printf 'module example.org/p\\n\\ngo 1.18\\n' > go.mod && printf 'package main\\n\\nfunc main() {}\\n' > main.go",
    ),
    ("GitHub's client", "gh", "true"),
    (
        "kubectl",
        "kubectl",
        "mkdir -p ~/.kube && printf 'apiVersion: v1\\nkind: Config\\nclusters:\\n- name: c\\n  cluster:\\n    server: https://k.example.org:6443\\n' > ~/.kube/config",
    ),
    ("Docker", "docker", "true"),
    (
        "Builds and tests",
        "make",
        "mkdir ~/published && printf 'docs:\\n\\techo page > ~/published/page\\n' > Makefile",
    ),
];

/// A recipe: its title, its rules, its commands.
struct Recipe {
    title: String,
    rules: Vec<String>,
    commands: Option<String>,
}

fn recipes() -> Vec<Recipe> {
    let document = std::fs::read_to_string(DOCUMENT).expect("a document");
    let mut found: Vec<Recipe> = Vec::new();
    for section in document.split("\n## ").skip(1) {
        let title = section.lines().next().expect("a title").to_owned();
        let blocks: Vec<&str> = section.split("```").skip(1).step_by(2).collect();
        let of = |language: &str| {
            let language = format!("{language}\n");
            blocks
                .iter()
                .filter_map(|block| block.strip_prefix(&language))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        found.push(Recipe { title, rules: of("python"), commands: of("sh").pop() });
    }
    found
}

pub(crate) fn search_path() -> String {
    let own = std::env::var("PATH").expect("PATH");
    format!("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{own}")
}

/// Where rustup and its like have what belongs to the user, whose home the test's is not.
pub(crate) fn tools_homes() -> Vec<(&'static str, String)> {
    let home = std::env::var("HOME").unwrap_or_default();
    [("RUSTUP_HOME", ".rustup"), ("PYENV_ROOT", ".pyenv")]
        .into_iter()
        .map(|(name, folder)| (name, Path::new(&home).join(folder)))
        .filter(|(_, folder)| folder.is_dir())
        .map(|(name, folder)| (name, folder.display().to_string()))
        .collect()
}

#[expect(clippy::print_stderr, reason = "whoever reads the tests' output should know")]
pub(crate) fn skipped(what: &str) {
    eprintln!("skipped: {what}");
}

#[tokio::test]
async fn each_recipe_does_what_it_says() {
    let recipes = recipes();
    assert!(recipes.len() > 9, "only few recipes were found");
    let with_commands = recipes.iter().filter(|recipe| recipe.commands.is_some()).count();
    assert_eq!(with_commands, PREPARED.len(), "each recipe with commands is prepared");
    for recipe in recipes {
        for rules in &recipe.rules {
            let world = World::with_rules("");
            let file = world.home().join("recipe.rules");
            std::fs::write(&file, rules).expect("written");
            let named = file.to_str().expect("UTF-8");
            let (code, _, said) = run_subcommand(&world, &["policy", "check", "--rules", named, "true"]);
            assert_eq!(code, Some(0), "{}: {said}", recipe.title);
        }
        let Some(commands) = recipe.commands else { continue };
        let prepared = PREPARED.iter().find(|(title, ..)| *title == recipe.title);
        let (_, tool, script) = prepared.unwrap_or_else(|| panic!("{} is not prepared", recipe.title));
        try_it(&recipe.title, &recipe.rules[0], (tool, script), &commands).await;
    }
}

async fn try_it(title: &str, rules: &str, (tool, script): (&str, &str), commands: &str) {
    // Tools need a folder for temporary files.
    let world = World::below(Path::new(env!("CARGO_TARGET_TMPDIR")), rules);
    let mut outside = Command::new("sh");
    world.surround(&mut outside);
    let prepared = outside.args(["-ec", script]).env("PATH", search_path()).output().expect("a shell");
    let mut server = world.server(&["--sandbox", "workspace-write"]);
    server.env("PATH", search_path()).envs(tools_homes());
    let client = Client::start_command(&world, &Person::absent(), server).await;
    let level = client.run("true").await.json()["sandbox"].to_string();
    if !(level.contains("namespaces") && level.contains("landlock") && level.contains("+door")) {
        return;
    }
    if client.run(&format!("type -P {tool} > /dev/null && {tool} --version > /dev/null 2>&1")).await.ran().0
        != 0
        && client.run(&format!("{tool} version > /dev/null 2>&1")).await.ran().0 != 0
    {
        skipped(&format!(
            "{title}: {tool} is not here, or does not start for a user without a configuration"
        ));
        return;
    }
    assert!(prepared.status.success(), "{title}: {}", String::from_utf8_lossy(&prepared.stderr));
    for command in commands.lines() {
        let outcome = client.run(command).await;
        assert_eq!(outcome.ran().0, 0, "{title}: {command}: {outcome:?}");
    }
    if tool == "make" {
        assert!(world.home().join("published/page").exists(), "{title}");
    }
}
