//! Processes: servers, signals, time.

use crate::workflow::Workflow;

const fn processes(name: &'static str, needs: &'static [&'static str], script: &'static str) -> Workflow {
    Workflow { name, needs, script, ..Workflow::PLAIN }
}

pub(crate) const WORKFLOWS: &[Workflow] = &[
    processes(
        "background jobs, wait, kill",
        &[],
        "sleep 60 & p=$!; kill $p; wait $p; echo $? > code; (exit 3) & wait $!; echo $? >> code",
    ),
    processes("timeout", &[], "timeout 0.2 sleep 60; echo $? > code"),
    processes(
        "a server of its own",
        &["python3", "curl"],
        "python3 -m http.server --bind 127.0.0.1 8123 >log 2>&1 & for _ in $(seq 200); do curl -sf http://127.0.0.1:8123/ > page && break; sleep 0.05; done; kill $!; wait $! 2>/dev/null; grep -c log page > hits; rm log page",
    ),
    processes(
        "a Unix socket of its own",
        &["python3"],
        "python3 - <<'X'\nimport socket, os, threading\ns = socket.socket(socket.AF_UNIX); s.bind('sock'); s.listen()\nt = threading.Thread(target=lambda: s.accept()[0].sendall(b'hi')); t.start()\nc = socket.socket(socket.AF_UNIX); c.connect('sock'); open('got', 'wb').write(c.recv(2)); t.join(); os.unlink('sock')\nX",
    ),
    processes(
        "ps, pgrep of its own",
        &[],
        "sleep 61 & for i in $(seq 200); do pgrep -f '^sleep 61' > /dev/null && break; sleep 0.02; done; pgrep -f '^sleep 61' > /dev/null; echo $? > found; kill $!; ps > /dev/null",
    ),
    processes(
        "xargs -P, parallel subshells",
        &[],
        "seq 20 | xargs -P4 -I{} sh -c 'echo {} > f{}'; for i in a b; do (echo $i > $i) & done; wait",
    ),
    processes(
        "bash -c, sh script, env",
        &[],
        "printf '#!/bin/sh\\necho $1 $X > ran\\n' > s && chmod +x s && X=y ./s arg && env -i PATH=$PATH bash -c 'echo $HOME > home'",
    ),
    processes(
        "nohup, setsid",
        &[],
        "nohup sh -c 'echo x > x' > /dev/null 2>&1; setsid -w sh -c 'echo y > y'",
    ),
    processes("ulimit, nice", &[], "ulimit -n 64; ulimit -n > n; nice -n 3 nice > level"),
    processes(
        "node",
        &["node"],
        "echo 'require(\"fs\").writeFileSync(\"n\", String(6*7)); require(\"child_process\").execSync(\"echo x > x\")' > m.js && node m.js",
    ),
    processes(
        "python with processes",
        &["python3"],
        "python3 -c 'import subprocess, multiprocessing as m; subprocess.run([\"touch\",\"t\"], check=True); p = m.get_context(\"fork\").Process(target=lambda: open(\"c\",\"w\").close()); p.start(); p.join()'",
    ),
    processes(
        "java",
        &["java", "javac"],
        "printf 'class A{public static void main(String[] x)throws Exception{new ProcessBuilder(\"touch\",\"t\").start().waitFor();}}' > A.java && javac A.java && java A && rm A.class",
    ),
    processes(
        "dev/shm, /dev/tty, /proc/self",
        &[],
        "f=/dev/shm/x$$; echo x > $f && cat $f > got && rm $f; cat /proc/self/comm > comm; : < /dev/tty; true",
    ),
];
