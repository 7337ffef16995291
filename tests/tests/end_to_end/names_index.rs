//! Git's index, with the kernel's door: every form of it that Git writes is what it was meant to be.

use end_to_end_tests::{World, word};

use super::names::{behind_the_door, git, project};
use super::names_git::{IDENTITY, all_succeed};

#[tokio::test]
async fn every_form_of_index_is_written() {
    let other = World::with_rules("").configured("");
    project(&other);
    for format in ["sha1", "sha256"] {
        let world = World::with_rules("").configured("");
        git(&world.workdir(), &format!("init -q -b main --object-format={format} && {IDENTITY}"));
        let client = behind_the_door(&world).await;
        let many =
            "mkdir many; for i in $(seq 200); do echo $i > many/$i; done; git add many; git commit -qm many";
        let clean = "test -z \"$(git status --short)\"";
        all_succeed(
            &client,
            &[
                ("usual", many),
                ("short", &format!("git update-index --index-version 4; echo x > x; git add x; {clean} || git commit -qm x; {clean}")),
                ("split", &format!("git update-index --split-index; echo y > y; git add y; git commit -qm y; {clean}; git update-index --no-split-index; {clean}")),
                ("sparse", &format!("git sparse-checkout set --cone --sparse-index src; {clean}; git sparse-checkout disable; {clean}")),
                ("caches", &format!("git update-index --untracked-cache; echo z > z; git add -N z; git add z; git commit -qm z; {clean}")),
                ("in blocks", &format!("git -c index.threads=4 -c index.recordOffsetTable=true -c index.recordEndOfIndexEntries=true update-index --force-write-index; {clean}")),
                ("conflict", "git switch -qc b; echo b > x; git commit -qam b; git switch -q main; echo m > x; git commit -qam m; git merge -q b || git checkout -q --theirs x; git commit -qam merged"),
                ("stash", &format!("echo s > x; git stash -q; git stash pop -q; git checkout -q x; {clean}")),
                ("work tree", "git worktree add -q wt -b w; cd wt; echo w > w; git add w; git commit -qm w; git mv w v; git reset -q --hard; cd ..; git worktree remove wt"),
                ("moved and back", &format!("mv .git/index .git/kept; mv .git/kept .git/index; {clean}; rm .git/index; git reset -q; {clean}")),
            ],
        )
        .await;
        git(&world.workdir(), "fsck --strict && test -z \"$(git status --short)\"");
    }
    let world = World::with_rules("").configured("");
    project(&world);
    let client = behind_the_door(&world).await;
    let url = word(&other.workdir());
    let script = format!(
        "git -c protocol.file.allow=always submodule add -q {url} index; git commit -qm sub; cd index; echo x > file; git add file
         test \"$(git diff --cached --name-only)\" = file"
    );
    all_succeed(&client, &[("submodule", &script)]).await;
    // What was changed while Git wrote its index is seen.
    let race = "for i in $(seq 40); do echo $i > file; git add file; printf '%s\\n' $((99 - i)) > file; git diff --quiet && exit 1; done; true";
    all_succeed(&client, &[("changes at the same time", race)]).await;
}
