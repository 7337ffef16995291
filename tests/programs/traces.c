/* Traces a process of its own that executes `sleep`, while another rewrites the argument, and writes into its memory, too:
 * what is judged is `sleep 0`, and it may become `sleep 8`. `traces TRIES` prints how often it slept. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *shared;

static void write_from_outside(pid_t into, const char *text) {
  struct iovec ours = {(void *)text, 2}, theirs = {shared, 2};
  process_vm_writev(into, &ours, 1, &theirs, 1, 0);
}

int main(int argc, char **argv) {
  if (argc != 2) return 64;
  shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int slept = 0, refused = 0, quick = 0;
  for (int try = 0; try < atoi(argv[1]); try++) {
    strcpy(shared, "0");
    pid_t it = fork();
    if (it == 0) {
      ptrace(PTRACE_TRACEME, 0, 0, 0);
      char *arguments[] = {"sleep", shared, 0}, *environment[] = {0};
      execve("/bin/sleep", arguments, environment);
      _exit(100 + errno);
    }
    pid_t writer = fork();
    if (writer == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) write_from_outside(it, "8"), write_from_outside(it, "0");
    }
    int status;
    time_t began = time(0);
    while (waitpid(it, &status, 0) == it && WIFSTOPPED(status)) {
      kill(writer, SIGKILL);
      ptrace(PTRACE_CONT, it, 0, 0);
    }
    kill(writer, SIGKILL), waitpid(writer, 0, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 100 + EPERM) refused++;
    else if (time(0) - began > 5) slept++;
    else quick++;
  }
  printf("slept %d, refused %d, other %d\n", slept, refused, quick);
  return 0;
}
