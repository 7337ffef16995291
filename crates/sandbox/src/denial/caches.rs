//! Tools that keep what they have fetched or built in the home folder, and the variables that move it.
//!
//! What lies there is run by the user's own tools later (crates, packages, hooks), so no command gets it to write: the
//! command gets a place of its own.

use std::path::{Path, PathBuf};

/// A folder in the home folder, the variable that moves it, and what the other place is called.
const CACHES: &[(&str, &str, &str)] = &[
    (".npm", "npm_config_cache", "npm-cache"),
    (".cargo/registry", "CARGO_HOME", "cargo-home"),
    (".cargo/git", "CARGO_HOME", "cargo-home"),
    (".cargo/.package-cache", "CARGO_HOME", "cargo-home"),
    (".cargo/.global-cache", "CARGO_HOME", "cargo-home"),
    ("go/pkg", "GOMODCACHE", "go-mod"),
    (".cache/go-build", "GOCACHE", "go-build"),
    (".cache/pip", "PIP_CACHE_DIR", "pip-cache"),
    (".cache/uv", "UV_CACHE_DIR", "uv-cache"),
    (".local/share/uv/tools", "UV_TOOL_DIR", "uv-tools"),
    (".local/share/uv/python", "UV_PYTHON_INSTALL_DIR", "uv-python"),
    (".cache/pypoetry", "POETRY_CACHE_DIR", "poetry-cache"),
    (".local/share/pnpm", "npm_config_store_dir", "pnpm-store"),
    (".cache/yarn", "YARN_CACHE_FOLDER", "yarn-cache"),
    (".yarn", "YARN_GLOBAL_FOLDER", "yarn"),
    (".bun", "BUN_INSTALL_CACHE_DIR", "bun-cache"),
    (".cache/deno", "DENO_DIR", "deno"),
    (".cache/node/corepack", "COREPACK_HOME", "corepack"),
    (".cache/ms-playwright", "PLAYWRIGHT_BROWSERS_PATH", "playwright"),
    (".cache/pre-commit", "PRE_COMMIT_HOME", "pre-commit"),
    (".cache/huggingface", "HF_HOME", "huggingface"),
    (".cache/ccache", "CCACHE_DIR", "ccache"),
    (".ccache", "CCACHE_DIR", "ccache"),
    (".gradle", "GRADLE_USER_HOME", "gradle"),
    (".nuget/packages", "NUGET_PACKAGES", "nuget"),
    (".bundle", "BUNDLE_USER_HOME", "bundle"),
    (".gem", "GEM_HOME", "gems"),
    (".cache/composer", "COMPOSER_CACHE_DIR", "composer-cache"),
    (".jupyter", "JUPYTER_CONFIG_DIR", "jupyter"),
    (".local/share/jupyter", "JUPYTER_DATA_DIR", "jupyter-data"),
    (".ipython", "IPYTHONDIR", "ipython"),
    (".config/matplotlib", "MPLCONFIGDIR", "matplotlib"),
    (".cache", "XDG_CACHE_HOME", "cache"),
];

/// Finds the assignment that gives a tool a place of its own instead of the one that this path lies in.
pub(super) fn instead(path: &Path, homes: &[PathBuf], temporary: &Path) -> Option<String> {
    let below_home = homes.iter().find_map(|home| path.strip_prefix(home).ok())?;
    let of_maven = below_home.starts_with(".m2/repository");
    if of_maven {
        return Some(format!("MAVEN_ARGS=-Dmaven.repo.local={}/m2", temporary.display()));
    }
    let (_, variable, name) = CACHES.iter().find(|(cache, _, _)| below_home.starts_with(cache))?;
    Some(format!("{variable}={}/{name}", temporary.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_gets_another_place_by_its_own_variable() {
        let homes = [PathBuf::from("/home/ann")];
        let instead = |path: &str| instead(Path::new(path), &homes, Path::new("/tmp"));
        for (path, expected) in [
            ("/home/ann/.npm/_cacache/tmp/x", Some("npm_config_cache=/tmp/npm-cache")),
            ("/home/ann/.cargo/registry/cache/x", Some("CARGO_HOME=/tmp/cargo-home")),
            ("/home/ann/.cache/go-build/ab", Some("GOCACHE=/tmp/go-build")),
            ("/home/ann/.cache/anything", Some("XDG_CACHE_HOME=/tmp/cache")),
            ("/home/ann/.m2/repository/org", Some("MAVEN_ARGS=-Dmaven.repo.local=/tmp/m2")),
            ("/home/ann/.cargo/bin/x", None),
            ("/home/ann/.npmrc", None),
            ("/srv/.npm/x", None),
        ] {
            assert_eq!(instead(path).as_deref(), expected, "{path}");
        }
    }
}
