/* Executes the program that the file `name` names, in a thread that is not its first. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char name[100], *arguments[] = {name, 0};

static void *execute(void *unused) {
  (void)unused;
  execvp(name, arguments);
  _exit(126);
}

int main(void) {
  FILE *file = fopen("name", "r");
  if (!file || !fgets(name, sizeof name, file)) return 64;
  name[strcspn(name, "\n")] = 0;
  pthread_t thread;
  pthread_create(&thread, 0, execute, 0);
  for (;;) pause();
}
