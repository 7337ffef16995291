//! Where build tools may keep what they fetch and compile.
//!
//! Nothing that a command puts into a cache may ever be executed outside: the user's own tools run programs from theirs
//! (`~/.npm/_npx`, `~/.cargo/registry/src`, `~/.cache/pre-commit`). So commands see the user's caches with a layer on
//! top that takes what they write; what is warm is warm. A tool whose cache cannot have one is led by its own variables
//! into a folder of the server's. Both belong to one workspace: what one project's commands put there, another's never
//! see.

use super::host_facts::{CachePolicy, HostFacts};
use super::{SYSTEM, is_too_wide};
use crate::caches;
use crate::plan::{Caches, Plan, ToolCache};
use crate::policy::Restrictions;
use std::path::{Path, PathBuf};

/// One tool's caches: folders in the home folder; variables that lead it elsewhere, and where below the server's folder.
struct Tool {
    places: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
}

/// Most tools that follow the freedesktop.org rules (pip, uv, Go's builds, pre-commit, Yarn, ccache, node-gyp, Playwright)
/// are the first line; the others have places of their own.
const TOOLS: &[Tool] = &[
    Tool { places: &[".cache"], variables: &[("XDG_CACHE_HOME", "cache")] },
    Tool { places: &[".npm"], variables: &[("npm_config_cache", "npm")] },
    // Not the whole of it: `bin` is where the user's own programs are, and `config.toml` runs some.
    Tool { places: &[".cargo/registry", ".cargo/git"], variables: &[("CARGO_HOME", "cargo")] },
    Tool { places: &["go/pkg"], variables: &[("GOMODCACHE", "go/pkg/mod")] },
    Tool { places: &[".cache/go-build"], variables: &[] },
    Tool {
        places: &[".local/share/uv"],
        variables: &[("UV_PYTHON_INSTALL_DIR", "uv/python"), ("UV_TOOL_DIR", "uv/tools")],
    },
    Tool { places: &[".local/share/pnpm/store"], variables: &[("PNPM_HOME", "pnpm")] },
    Tool { places: &[".yarn/berry"], variables: &[("YARN_GLOBAL_FOLDER", "yarn")] },
    Tool { places: &[".bun/install/cache"], variables: &[("BUN_INSTALL_CACHE_DIR", "bun")] },
    Tool { places: &[".gradle"], variables: &[("GRADLE_USER_HOME", "gradle")] },
    Tool { places: &[".m2/repository"], variables: &[("MAVEN_OPTS", "-Dmaven.repo.local=maven")] },
    Tool {
        places: &[".local/share/jupyter"],
        variables: &[("JUPYTER_DATA_DIR", "jupyter/data"), ("JUPYTER_RUNTIME_DIR", "jupyter/runtime")],
    },
    Tool { places: &[".jupyter"], variables: &[("JUPYTER_CONFIG_DIR", "jupyter/config")] },
    Tool { places: &[".ipython"], variables: &[("IPYTHONDIR", "ipython")] },
    Tool { places: &[".ccache"], variables: &[] },
    Tool { places: &[".cache/uv"], variables: &[] },
    Tool { places: &[".cache/pip"], variables: &[] },
    Tool { places: &[".nuget/packages"], variables: &[("NUGET_PACKAGES", "nuget")] },
    Tool { places: &[".pub-cache"], variables: &[("PUB_CACHE", "pub")] },
    Tool { places: &[".bundle/cache"], variables: &[("BUNDLE_USER_CACHE", "bundle")] },
];

/// Adds the caches to the plan.
pub(super) fn add(plan: &mut Plan, workspace: &[PathBuf], restrictions: &Restrictions, facts: &HostFacts) {
    if restrictions.only_readable.is_some() {
        return;
    }
    let homes: Vec<PathBuf> = facts.homes().cloned().collect();
    // Where the server itself was installed (by `npx`, into `~/.npm/_npx`) commands must not replace its programs, and a
    // layer would make other files of them.
    let programs: Vec<PathBuf> =
        facts.programs.iter().filter_map(|program| program.canonicalize().ok()).collect();
    let is_cache = |place: &PathBuf| {
        let is_systems = SYSTEM.iter().any(|system| place.starts_with(system));
        let holds_a_root = |root: &PathBuf| root.starts_with(place) || place.starts_with(root);
        let holds_us = programs.iter().any(|program| program.starts_with(place));
        place.is_dir()
            && !is_systems
            && !holds_us
            && !is_too_wide(place, &homes)
            && !plan.writable.iter().any(holds_a_root)
    };
    let places_of = |tool: &Tool| -> Vec<PathBuf> {
        let places = tool.places.iter().filter_map(|name| facts.in_use(name));
        let mut places: Vec<PathBuf> =
            places.filter_map(|place| place.canonicalize().ok()).filter(is_cache).collect();
        places.sort();
        places.dedup();
        places
    };
    match &facts.caches {
        CachePolicy::Off => {}
        CachePolicy::Shared => {
            let places: Vec<PathBuf> = TOOLS.iter().flat_map(places_of).collect();
            plan.writable.extend(outermost(&places));
        }
        CachePolicy::Own(store) => {
            // What commands write at will is no place to keep layers in.
            if plan.writable.iter().any(|root| store.starts_with(root)) {
                return;
            }
            let caches = Caches { store: store.join(caches::name_of(workspace)), tools: Vec::new() };
            let own = caches.own();
            let mut tools: Vec<ToolCache> = TOOLS
                .iter()
                .map(|tool| ToolCache { places: places_of(tool), variables: variables(tool, &own) })
                .collect();
            let all: Vec<PathBuf> = tools.iter().flat_map(|tool| tool.places.clone()).collect();
            let outermost = outermost(&all);
            // A layer over the outer folder takes what is written in the inner one.
            for tool in &mut tools {
                for place in &mut tool.places {
                    let outer = outermost.iter().find(|outer| place.starts_with(outer));
                    outer.into_iter().for_each(|outer| place.clone_from(outer));
                }
            }
            plan.caches = Some(Caches { tools, ..caches });
        }
    }
}

/// Drops what lies inside another, and what is there twice.
fn outermost(places: &[PathBuf]) -> Vec<PathBuf> {
    let mut outermost: Vec<PathBuf> = Vec::new();
    let mut places = places.to_vec();
    places.sort();
    for place in places {
        if !outermost.iter().any(|outer| place.starts_with(outer)) {
            outermost.push(place);
        }
    }
    outermost
}

fn variables(tool: &Tool, own: &Path) -> Vec<(String, String)> {
    let Some(own) = own.to_str() else { return Vec::new() };
    let value = |value: &str| match value.split_once('=') {
        // An option whose value is the folder. `MAVEN_ARGS` would be for options, but Maven knows it since 3.9 only.
        Some((option, below)) => format!("{option}={own}/{below}"),
        None => format!("{own}/{value}"),
    };
    tool.variables.iter().map(|(name, below)| ((*name).to_owned(), value(below))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, Network};

    fn plan(root: &Path) -> Plan {
        Plan {
            writable: vec![root.to_owned()],
            ..Plan::unenforced(Mode::WorkspaceWrite, Network::Restricted)
        }
    }

    #[test]
    fn caches_that_are_there_get_layers_and_the_others_variables() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        let (workspace, store) = (home.join("project"), home.join("store"));
        for name in ["project", ".cache/go-build", ".cargo/registry"] {
            std::fs::create_dir_all(home.join(name)).unwrap();
        }
        let facts = HostFacts {
            home: Some(home.clone()),
            caches: CachePolicy::Own(store.clone()),
            ..HostFacts::default()
        };
        let mut plan = plan(&workspace);
        add(&mut plan, std::slice::from_ref(&workspace), &Restrictions::default(), &facts);
        let caches = plan.caches.clone().unwrap();
        let is_led = |tool: &&ToolCache, by: &str| tool.variables.iter().any(|(name, _)| name == by);
        assert!(caches.store.starts_with(&store) && caches.store != store);
        let mut places: Vec<_> = caches.places().cloned().collect();
        places.dedup();
        // One layer for both the folder and what lies in it.
        assert_eq!(places[..2], [home.join(".cache"), home.join(".cargo/registry")]);
        assert!(
            places
                .iter()
                .all(|place| place == &home.join(".cache") || place == &home.join(".cargo/registry"))
        );
        let npm = caches.tools.iter().find(|tool| is_led(tool, "npm_config_cache")).unwrap();
        assert_eq!(
            (npm.places.len(), &npm.variables[0].1),
            (0, &caches.own().join("npm").display().to_string())
        );
        assert!(plan.may_write(&home.join(".cache/x")) && plan.may_write(&caches.own().join("x")));
        assert!(!plan.may_write(&home.join(".cargo/bin/x")) && !plan.may_write(&caches.store.join("0/x")));
    }

    #[test]
    fn no_layer_lies_over_the_workspace_or_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(home.join(".cache/project/.npm")).unwrap();
        let workspace = home.join(".cache/project");
        let moved = vec![(".npm", workspace.join(".npm"))];
        let caches = CachePolicy::Own(home.join("store"));
        let facts = HostFacts { home: Some(home.clone()), moved, caches, ..HostFacts::default() };
        let mut plan = plan(&workspace);
        add(&mut plan, std::slice::from_ref(&workspace), &Restrictions::default(), &facts);
        assert_eq!(plan.caches.unwrap().places().count(), 0);
    }

    #[test]
    fn where_the_servers_own_programs_are_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        let installed = home.join(".npm/_npx/x/bin");
        for place in [&home.join("project"), &installed] {
            std::fs::create_dir_all(place).unwrap();
        }
        std::fs::write(installed.join("bash"), "").unwrap();
        for caches in [CachePolicy::Own(home.join("store")), CachePolicy::Shared] {
            let programs = vec![installed.join("bash")];
            let facts = HostFacts { home: Some(home.clone()), programs, caches, ..HostFacts::default() };
            let mut plan = plan(&home.join("project"));
            add(&mut plan, &[home.join("project")], &Restrictions::default(), &facts);
            assert!(!plan.may_write(&installed.join("bash")) && !plan.may_write(&home.join(".npm/x")));
        }
    }

    #[test]
    fn shared_caches_are_written_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        for name in ["project", ".cache/pip", ".npm"] {
            std::fs::create_dir_all(home.join(name)).unwrap();
        }
        let facts =
            HostFacts { home: Some(home.clone()), caches: CachePolicy::Shared, ..HostFacts::default() };
        let mut plan = plan(&home.join("project"));
        add(&mut plan, &[home.join("project")], &Restrictions::default(), &facts);
        assert_eq!(plan.writable[1..], [home.join(".cache"), home.join(".npm")]);
        assert!(plan.caches.is_none());
    }
}
