//! What no rule speaks about: the lists of dangerous commands, with no rules at all.

use execpolicy::{Command, Decision::Allow, Decision::Prompt, Heuristics, Options, Policy};

use super::join_script;

/// Git's list, which is off unless asked for: what a server of this kind was measured to ask about, and what
/// not.
const GIT: &[(&str, bool)] = &[
    ("git reset", true),
    ("git reset --hard HEAD~1", true),
    ("git rm x", true),
    ("git -C /tmp push -f", true),
    ("git -c a.b=c reset", true),
    ("git --git-dir x reset", true),
    ("git --git-dir=x reset", true),
    ("git --work-tree x rm y", true),
    ("git --exec-path x rm y", true),
    ("git --namespace x reset", true),
    ("git --super-prefix x reset", true),
    ("git --config-env a=B reset", true),
    ("git --no-pager reset", true),
    ("git -- reset", true),
    ("git branch -d x", true),
    ("git branch -D x", true),
    ("git branch --delete x", true),
    ("git branch -dr x", true),
    ("git push -f", true),
    ("git push --force", true),
    ("git push --force-with-lease", true),
    ("git push --force-with-lease=x", true),
    ("git push --force-if-includes", true),
    ("git push -d origin x", true),
    ("git push --delete origin x", true),
    ("git push origin +main", true),
    ("git push origin :main", true),
    ("git push -uf origin x", true),
    ("git clean -f", true),
    ("git clean --force", true),
    ("git clean -xdf", true),
    ("/usr/bin/git reset", true),
    ("bash|-lc|git push -f && ls", true),
    ("bash|-lc|git push -f > x", true),
    ("bash|-lc|(git push -f)", true),
    ("git push", false),
    ("git push origin main", false),
    ("git push --mirror", false),
    ("git push --prune", false),
    ("git branch x", false),
    ("git branch -a", false),
    ("git clean -n", false),
    ("git checkout -f", false),
    ("git checkout .", false),
    ("git restore .", false),
    ("git stash drop", false),
    ("git stash clear", false),
    ("git tag -d x", false),
    ("git update-ref -d x", false),
    ("git status", false),
    ("git", false),
    ("git -C", false),
];

#[test]
fn the_git_list_speaks_only_when_it_is_on() {
    let policy = Policy::empty();
    for (line, dangerous) in GIT {
        let words: Vec<&str> = line.split(if line.contains('|') { '|' } else { ' ' }).collect();
        let command = Command::from_words(&words).unwrap();
        let on =
            Options { heuristics: Heuristics { git: true, ..Heuristics::default() }, ..Options::default() };
        assert_eq!(policy.evaluate(&command, &on).decision() == Prompt, *dangerous, "{line}");
        assert_eq!(policy.evaluate(&command, &Options::default()).decision(), Allow, "{line}");
    }
}

/// What Windows' programs do when they are called from WSL.
const WINDOWS: &[(&str, bool)] = &[
    ("powershell.exe|-Command|Start-Process https://x", true),
    ("powershell.exe|-NoProfile|-c|start https://x", true),
    ("pwsh|-c|saps 'https://x'", true),
    ("powershell|Invoke-Item https://x", true),
    ("powershell|ii \"https://x\"", true),
    ("powershell|(New-Object -ComObject Shell.Application).ShellExecute('https://x')", true),
    ("powershell|Start-`Process https://x", true),
    ("powershell|ls; start https://x", true),
    ("powershell|rundll32 url.dll,FileProtocolHandler https://x", true),
    ("powershell|mshta https://x", true),
    ("powershell|firefox https://x", true),
    ("powershell|explorer https://x", true),
    ("powershell|Remove-Item x -Force", true),
    ("powershell|rm -Recurse -Fo x", true),
    ("powershell|Get-ChildItem | ri -Force:$true", true),
    ("powershell|del (Get-Item x) -Force", true),
    ("powershell|-Command|cmd /c del /f x", true),
    ("powershell|Start-Process notepad.exe", false),
    ("powershell|explorer .", false),
    ("powershell|Remove-Item x", false),
    ("powershell|Remove-Item x -Force:$false", false),
    ("powershell|Write-Host https://x", false),
    ("powershell|Get-ChildItem -Force", false),
    ("cmd.exe|/c|start https://x", true),
    ("cmd|/c|start \"\" https://x", true),
    ("cmd.exe|/C|DEL /F x", true),
    ("cmd.exe|/c|erase /q/f x", true),
    ("cmd.exe|/c|rd /s /q x", true),
    ("cmd.exe|/c|rmdir/s/q x", true),
    ("cmd.exe|/r|del /f x", true),
    ("cmd.exe|-c|del /f x", true),
    ("cmd.exe|/c|echo x & del /f y", true),
    ("cmd.exe|/c|d^el /f y", true),
    ("cmd.exe|/c|powershell Remove-Item x -Force", true),
    ("cmd.exe|/c|cmd /c call del /f x", true),
    ("cmd.exe|/c|start notepad", false),
    ("cmd.exe|/c|del x", false),
    ("cmd.exe|/c|rd /s x", false),
    ("cmd.exe|/c|rd /q x", false),
    ("cmd.exe|/c|dir /s", false),
    ("cmd.exe", false),
    ("/mnt/c/Windows/explorer.exe|https://x", true),
    ("explorer.exe|.", false),
    ("chrome.exe|https://x", true),
    ("msedge.exe|https://x", true),
    ("iexplore.exe|http://x", true),
    ("mshta.exe|https://x", true),
    ("rundll32.exe|url.dll,FileProtocolHandler|https://x", true),
    ("rundll32.exe|shell32.dll,Control_RunDLL", false),
    // On Linux a browser runs inside like everything else.
    ("firefox|https://x", false),
    ("bash|-c|powershell.exe -c 'rm -Force x'", true),
];

#[test]
fn what_windows_programs_do_is_asked_about() {
    let policy = Policy::empty();
    for (line, dangerous) in WINDOWS {
        let words = join_script(line.split('|').collect());
        let command = Command::from_words(&words).unwrap();
        let found = policy.evaluate(&command, &Options::default());
        assert_eq!(found.decision() == Prompt, *dangerous, "{line}");
        let off = Options { heuristics: Heuristics::NONE, ..Options::default() };
        assert_eq!(policy.evaluate(&command, &off).decision(), Allow, "{line}");
    }
}
