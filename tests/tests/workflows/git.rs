//! Git, as people and agents use it.

use crate::workflow::{Expected, Workflow};

const REPOSITORY: &str =
    "git init -q; echo one > a; mkdir d; echo two > d/b; git add .; git commit -qm first";
/// A second branch with a commit of its own.
const BRANCHES: &str = "git init -q; echo one > a; git add .; git commit -qm first; git switch -qc side; \
    echo two > b; git add .; git commit -qm second; git switch -q main; echo three > c; git add .; git commit -qm third";
/// A repository elsewhere, and a clone of it to work in.
const CLONE: &str = "git init -q --bare ../origin.git; git init -q; echo one > a; git add .; git commit -qm first; \
    git remote add origin ../origin.git; git push -qu origin main";

const fn git(name: &'static str, setup: &'static str, script: &'static str) -> Workflow {
    Workflow { name, setup, script, needs: &["git"], ..Workflow::PLAIN }
}

const fn refused(
    name: &'static str,
    setup: &'static str,
    script: &'static str,
    named: &'static str,
) -> Workflow {
    Workflow { expected: Expected::Refused(named), ..git(name, setup, script) }
}

const EVERYTHING: &str = "echo x > x && git add . && git commit -qm x && echo y >> x && git stash -q && git stash pop -q && \
    git commit -qam y && git switch -qc topic && git tag t && git rebase -q HEAD~1 && git gc -q";

const fn elsewhere(name: &'static str, folder: &'static str, setup: &'static str) -> Workflow {
    Workflow { folder, ..git(name, setup, EVERYTHING) }
}

pub(crate) const WORKFLOWS: &[Workflow] = &[
    git("git add, commit", REPOSITORY, "echo x >> a; echo y > d/new; git add -A && git commit -qm second"),
    git(
        "git commit -a, amend",
        REPOSITORY,
        "echo x >> a; git commit -qam second && echo y >> a && git commit -qa --amend -m third",
    ),
    git("git rm, mv", REPOSITORY, "git mv a z && git rm -q d/b && git commit -qm moved"),
    git(
        "git branch, switch -c",
        REPOSITORY,
        "git branch one && git switch -qc two && echo x > x && git add x && git commit -qm x && git switch -q one",
    ),
    git("git branch -d", BRANCHES, "git merge -q side -m merged && git branch -d side -q"),
    git(
        "git checkout -b, checkout file",
        REPOSITORY,
        "echo x > a; git checkout -q a && git checkout -qb other",
    ),
    git("git merge", BRANCHES, "git merge -q side -m merged"),
    git(
        "git merge with a conflict, abort",
        BRANCHES,
        "git switch -q side && echo x > c && git add c && git commit -qm c; git merge main; git merge --abort",
    ),
    git("git rebase", BRANCHES, "git switch -q side && git rebase -q main"),
    git(
        "git rebase -i by a script",
        BRANCHES,
        "GIT_SEQUENCE_EDITOR='sed -i 1s/pick/reword/' GIT_EDITOR='sed -i 1s/third/3rd/' git rebase -qi HEAD~1",
    ),
    git(
        "git cherry-pick, revert",
        BRANCHES,
        "git cherry-pick side >/dev/null && git revert --no-edit HEAD >/dev/null",
    ),
    git(
        "git reset --hard, clean -fd",
        REPOSITORY,
        "echo x > a; mkdir n; echo > n/x; git reset -q --hard && git clean -qfd",
    ),
    git("git reset --hard HEAD~1", BRANCHES, "git reset -q --hard HEAD~1"),
    git("git clean -fdx", REPOSITORY, "echo '*.o' > .gitignore; touch x.o y; git clean -qfdx"),
    git("git stash, pop", REPOSITORY, "echo x > a; git stash -q && git stash pop -q"),
    git("git stash -u", REPOSITORY, "echo x > a; echo y > new; mkdir m; echo z > m/z; git stash -qu"),
    git("git tag, annotated", REPOSITORY, "git tag v1 && git tag -am two v2"),
    git(
        "git log, diff, show, blame",
        REPOSITORY,
        "git log --stat && git diff HEAD && git show && git blame a && git grep one",
    ),
    git(
        "git apply, am, format-patch",
        BRANCHES,
        "git format-patch -q -1 side -o patches && git am -q patches/* && git apply --check -R patches/*",
    ),
    git(
        "git bisect",
        BRANCHES,
        "git bisect start -q HEAD HEAD~1 >/dev/null && git bisect run true >/dev/null; git bisect reset -q 2>/dev/null",
    ),
    git(
        "git notes, reflog, describe",
        REPOSITORY,
        "git tag v1 && git notes add -m note && git reflog && git describe",
    ),
    git("git gc, fsck", BRANCHES, "git gc -q && git fsck --no-progress"),
    git(
        "git sparse-checkout in a clone's copy",
        REPOSITORY,
        "git -c core.sparseCheckout=true read-tree -mu HEAD",
    ),
    git(
        "git worktree add inside, remove",
        REPOSITORY,
        "git worktree add -q wt -b wt && echo x > wt/x && git -C wt add . && git -C wt commit -qm x && git worktree remove wt",
    ),
    git(
        "git init, clone in a folder",
        REPOSITORY,
        "git init -q sub && echo x > sub/x && git -C sub add . && git -C sub commit -qm x; git clone -q . copy 2>/dev/null; cat copy/a; rm -r copy sub < /dev/null",
    ),
    git("git fetch, pull from a path", CLONE, "git fetch -q && git pull -q"),
    git(
        "git archive, bundle",
        REPOSITORY,
        "git archive HEAD | tar t && git bundle create -q b HEAD && git bundle verify -q b && rm b",
    ),
    git(
        "git add -p by answers",
        REPOSITORY,
        "echo x >> a; printf 'y\\n' | git add -p >/dev/null; git commit -qm picked",
    ),
    git(
        "git commit by a hook of the user's",
        "git init -q; mkdir .git/hooks -p; printf '#!/bin/sh\\necho hooked > hooked\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; echo > a; git add a",
        "git commit -qm first",
    ),
    git(
        "git in a sub-folder",
        REPOSITORY,
        "cd d && git status && echo x > x && git add . && git commit -qm x",
    ),
    git(
        "many files",
        "git init -q",
        "for i in $(seq 300); do echo $i > f$i; done; git add . && git commit -qm many",
    ),
    git(
        "git sparse-checkout set, add, disable",
        "git init -q; mkdir a b c; echo 1 > a/x; echo 2 > b/x; echo 3 > c/x; echo 0 > x; git add .; git commit -qm first",
        "git sparse-checkout set a && ls > one && git sparse-checkout add b && ls > two && git sparse-checkout list > three && git sparse-checkout disable && cat .git/config .git/config.worktree > four",
    ),
    git(
        "git submodule add, update, commit",
        "git init -q ../lib; git -C ../lib commit -q --allow-empty -m x; git init -q; git commit -q --allow-empty -m x",
        "git submodule --quiet add ../lib libs/one 2>/dev/null && git commit -qm sub && git -C libs/one commit -q --allow-empty -m y && git commit -qam bump && git submodule status && sed \"s|=.*$HOME|= |\" .git/config .git/modules/libs/one/config > configs",
    ),
    git(
        "git submodule update --init",
        "git init -q ../lib; git -C ../lib commit -q --allow-empty -m x; git init -q ../top; cd ../top; git submodule --quiet add ../lib sub 2> /dev/null; git commit -qm sub; cd ../work; git clone -q ../top .",
        "git submodule --quiet update --init 2>/dev/null && git submodule status > status && sed \"s|=.*$HOME|= |\" .git/config .git/modules/sub/config > configs",
    ),
    git(
        "git clone --recurse-submodules URL .",
        "git init -q ../lib; git -C ../lib commit -q --allow-empty -m x; git init -q ../top; cd ../top; git submodule --quiet add ../lib sub 2> /dev/null; git commit -qm sub",
        "git clone -q --recurse-submodules ../top . 2>/dev/null && git submodule status > status && git -C sub log --oneline > log",
    ),
    git(
        "git worktree add of a sparse checkout, remove",
        "git init -q; mkdir a b; echo 1 > a/x; echo 2 > b/x; git add .; git commit -qm first; git sparse-checkout set a",
        "git worktree add -q wt && ls wt > one && git -C wt sparse-checkout set b && ls wt > two && cat .git/worktrees/wt/config.worktree > three && git worktree remove wt && ls .git > four",
    ),
    elsewhere(
        "a linked work tree",
        "tree",
        "git init -q; git commit -q --allow-empty -m x; git worktree add -q ../tree",
    ),
    elsewhere(
        "a submodule",
        "work/sub",
        "git init -q ../lib; git -C ../lib commit -q --allow-empty -m x; git init -q; git submodule --quiet add ../lib sub 2> /dev/null; git commit -qm sub",
    ),
    elsewhere(
        "a folder of a repository",
        "work/d/e",
        "git init -q; mkdir -p d/e; echo z > z; git add .; git commit -qm x",
    ),
    refused("git config", REPOSITORY, "git config alias.x y", ".git/config"),
    refused("git remote add", REPOSITORY, "git remote add up ../up.git", ".git/config"),
    refused(
        "git config core.hooksPath (husky)",
        REPOSITORY,
        "git config core.hooksPath .husky/_",
        ".git/config",
    ),
    git("git branch -m", REPOSITORY, "git branch -m trunk"),
    git("git branch -m of one that follows another", CLONE, "git branch -m trunk && cp .git/config config"),
    git(
        "git switch --track",
        CLONE,
        "git branch -q x && git push -q . x:refs/remotes/origin/x && git branch -qD x; git switch -q --track origin/x; cp .git/config config",
    ),
    Workflow {
        expected: Expected::Kept(".git/hooks"),
        ..git("git hooks", REPOSITORY, "printf '#!/bin/sh\\n' > .git/hooks/pre-commit")
    },
    Workflow {
        expected: Expected::Kept(".git/info/attributes"),
        ..git("git attributes of one's own", REPOSITORY, "echo '* filter=x' > .git/info/attributes")
    },
];
