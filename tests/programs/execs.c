/* Executes a program in the ways of somebody who means whoever judges it ill: `execs WAY TRIES PROGRAM ARGUMENT`. Prints the
 * way, and how often its children ended how; 100 and more is the number of an error. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static const char *way;
static char *program, *arguments[3];
static int number; /* of this try */

static int execute(void) {
  execve(program, arguments, environ);
  return 100 + errno;
}

/* Processes and threads beside the one that executes; they end with it, and soon. */
static char stack[256 << 10];
static void beside(int (*what)(void *), int shared) {
  clone(what, stack + sizeof stack, shared, 0);
}
static int writes_over_descriptors(void *unused) {
  (void)unused;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int one = open("/usr/bin/true", O_RDONLY | O_CLOEXEC), other = open(program, O_RDONLY | O_CLOEXEC);
  for (int turn = 0; turn < 20000; turn++)
    for (int at = 600; at < 606; at++) dup2(at & 1 ? one : other, at);
  _exit(0);
}
static void *executes(void *unused) {
  (void)unused;
  if (strcmp(way, "leader-gone") == 0) usleep(2000);
  _exit(execute());
}
static void *moves_a_descriptor(void *unused) {
  (void)unused;
  int one = open("/usr/bin/true", O_RDONLY), other = open("/usr/bin/touch", O_RDONLY);
  for (;;) dup2(one, 9), dup2(other, 9);
}

/* The argument, which others rewrite while the program is executed. */
static char argument[] = "good";
static void rewrite(void) {
  memcpy(argument, "evil", 4), memcpy(argument, "good", 4);
}
static int rewrites(void *unused) {
  (void)unused;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int turn = 0; turn < 3000000; turn++) rewrite();
  _exit(0);
}
static void *rewrites_in_a_thread(void *unused) {
  (void)unused;
  for (;;) rewrite();
}
static int executes_in_the_same_memory(void *unused) {
  (void)unused;
  _exit(execute());
}
static void write_into(pid_t it) {
  struct iovec theirs = {argument, 4}, evil = {"evil", 4}, good = {"good", 4};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int turn = 0; turn < 300000; turn++) {
    process_vm_writev(it, &evil, 1, &theirs, 1, 0);
    process_vm_writev(it, &good, 1, &theirs, 1, 0);
  }
  _exit(0);
}
/* As which the one that was waited for has ended. */
static void end_as(pid_t it) {
  int status;
  while (waitpid(it, &status, 0) != it);
  if (WIFSIGNALED(status)) raise(WTERMSIG(status));
  _exit(WEXITSTATUS(status));
}

static sigjmp_buf before;
static void jumps(int signal) {
  (void)signal;
  siglongjmp(before, 1);
}

/* A filter that answers `execveat` before anybody else's does. */
static void answer(unsigned action) {
  struct sock_filter steps[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execveat, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {4, steps};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) _exit(99);
}

static void limit(int resource, unsigned long most) {
  struct rlimit both = {most, most};
  setrlimit(resource, &both);
}

#define IS(name) (strcmp(way, name) == 0)

static int child(void) {
  int null = open("/dev/null", O_WRONLY);
  dup2(null, 2), close(null);
  pthread_t thread;
  if (IS("shared-descriptors")) {
    beside(writes_over_descriptors, CLONE_FILES | CLONE_VM);
    usleep(number * 37 % 300);
  } else if (IS("leader-gone")) {
    pthread_create(&thread, 0, executes, 0);
    pthread_exit(0);
  } else if (IS("threads")) {
    for (int more = 0; more < 6; more++) pthread_create(&thread, 0, executes, 0);
  } else if (IS("moving-descriptor")) {
    pthread_create(&thread, 0, moves_a_descriptor, 0);
    usleep(500);
    program = "/proc/self/fd/9";
  } else if (IS("undumpable")) {
    prctl(PR_SET_DUMPABLE, 0);
  } else if (IS("jump")) {
    signal(SIGALRM, jumps);
    if (sigsetjmp(before, 1) == 0) ualarm(200 + number * 137 % 2000, 0);
  } else if (IS("filter-errno")) {
    answer(SECCOMP_RET_ERRNO | EACCES);
  } else if (IS("filter-zero")) {
    answer(SECCOMP_RET_ERRNO);
  } else if (IS("filter-trap")) {
    answer(SECCOMP_RET_TRAP);
  } else if (IS("filter-trace")) {
    answer(SECCOMP_RET_TRACE);
  } else if (IS("full")) {
    limit(RLIMIT_NOFILE, 16);
    while (dup(1) >= 0);
  } else if (IS("small-stack")) {
    limit(RLIMIT_STACK, 64 << 10);
  } else if (IS("rewriting-sibling")) {
    arguments[1] = argument;
    beside(rewrites, CLONE_VM);
    usleep(number * 37 % 200);
  } else if (IS("rewriting-parent")) {
    arguments[1] = argument;
    pid_t it = clone(executes_in_the_same_memory, stack + sizeof stack, CLONE_VM | SIGCHLD, 0);
    for (int status; waitpid(it, &status, WNOHANG) == 0;) rewrite();
    _exit(0);
  } else if (IS("rewriting-vfork")) {
    arguments[1] = argument;
    pthread_create(&thread, 0, rewrites_in_a_thread, 0);
    pid_t it = vfork();
    if (it == 0) _exit(execute());
    end_as(it);
  } else if (IS("writing-process")) {
    arguments[1] = argument;
    pid_t me = getpid();
    if (fork() == 0) write_into(me);
    usleep(number * 37 % 500);
  } else if (IS("x32")) {
    syscall(0x40000000 | 520, program, arguments, environ);
#ifdef __x86_64__
  } else if (IS("32-bit")) {
    /* Its arguments would have to lie below 4 GB; it does not come to that. */
    __asm__ volatile("int $0x80" : : "a"(11), "b"(0), "c"(0), "d"(0) : "memory");
#endif
  }
  return execute();
}

static void disturb(pid_t it) {
  if (IS("stops"))
    for (int turn = 0; turn < 40; turn++) {
      kill(it, SIGSTOP), usleep(rand() % 200);
      kill(it, SIGCONT), usleep(rand() % 100);
    }
  if (IS("signals"))
    for (int turn = 0; turn < 200; turn++) kill(it, turn & 1 ? SIGUSR1 : SIGWINCH);
  if (IS("killed")) usleep(rand() % 3000), kill(it, SIGKILL);
}

int main(int argc, char **argv) {
  if (argc != 5) return 64;
  way = argv[1], program = arguments[0] = argv[3], arguments[1] = argv[4];
  if (IS("check")) { /* AT_EXECVE_CHECK: executes nothing. */
    int result = syscall(SYS_execveat, AT_FDCWD, program, arguments, environ, 0x10000);
    printf("check: %s\n", result == 0 || errno == EINVAL ? "nothing" : strerror(errno));
    return 0;
  }
  int ends[512] = {0};
  if (IS("signals")) signal(SIGUSR1, SIG_IGN);
  for (number = 0; number < atoi(argv[2]); number++) {
    pid_t it = fork();
    if (it == 0) _exit(child());
    int status;
    disturb(it);
    waitpid(it, &status, 0);
    ends[WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status)]++;
  }
  printf("%s:", way);
  for (int end = 0; end < 512; end++)
    if (ends[end]) printf(end < 256 ? " %d" : " -%d", end & 255);
  printf("\n");
  return 0;
}
