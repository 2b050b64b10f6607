/* A stage1 that knows nothing of podwright: one static program for every entrypoint, strict about what it is given.

   It tells what it was called with in the file that FOREIGN_LOG names, one fact a line, and refuses a flag that its
   interface version (-DVERSION=n) does not have. `run` runs /app.sh of each app, writes ppid only, and the statuses;
   `enter` runs its command in the app's root, `stop` signals the process in ppid.

   FOREIGN_MODE=background: `run` goes on in a child and ends; =late: somebody keeps the lock until FOREIGN_HOLD, a
   FIFO, was opened and closed. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STAGE2 "stage1/rootfs/opt/stage2"

static FILE *told;
static const char *name;
static volatile pid_t child;

static void die(const char *what) {
    fprintf(stderr, "foreign stage1: %s: %s\n", what, strerror(errno));
    exit(99);
}

static int starts(const char *word, const char *with) { return strncmp(word, with, strlen(with)) == 0; }

static int is_mode(const char *mode) { return getenv("FOREIGN_MODE") && !strcmp(getenv("FOREIGN_MODE"), mode); }

static int known(const char *word) {
    static const char *flags[] = {"--net=", "--mds-token=", "--local-config=", "--private-users="};
    if (!strcmp(word, "--debug") || !strcmp(word, "--interactive")) return 1;
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++)
        if (starts(word, flags[i])) return 1;
    return (VERSION >= 2 && starts(word, "--hostname=")) || (VERSION >= 3 && starts(word, "--disable-")) ||
           (VERSION >= 4 && starts(word, "--dns-conf-mode=")) || (VERSION >= 6 && starts(word, "--ipc="));
}

static const char *lock_state(void) {
    const char *text = getenv("RKT_LOCK_FD");
    if (!text || !*text) return "no RKT_LOCK_FD";
    int fd = atoi(text), other = open(".", O_RDONLY | O_DIRECTORY);
    struct stat mine, here;
    if (fstat(fd, &mine) || stat(".", &here) || mine.st_ino != here.st_ino) return "not the pod directory";
    if (fcntl(fd, F_GETFD) & FD_CLOEXEC) return "close-on-exec";
    if (flock(other, LOCK_SH | LOCK_NB) == 0) return "not locked";
    return flock(fd, LOCK_EX | LOCK_NB) ? "locked by another" : "held";
}

static void tell_link(const char *fact, const char *path) {
    char text[4096];
    ssize_t length = readlink(path, text, sizeof text - 1);
    text[length < 0 ? 0 : length] = 0;
    fprintf(told, "%s %s %s\n", name, fact, length < 0 ? strerror(errno) : text);
}

static void tell_circumstances(int argc, char **argv) {
    fprintf(told, "%s argv0 %s\n", name, argv[0]);
    for (int i = 1; i < argc; i++) fprintf(told, "%s argv %s\n", name, argv[i]);
    char cwd[4096];
    fprintf(told, "%s cwd %s\n", name, getcwd(cwd, sizeof cwd));
    fprintf(told, "%s sees %s\n", name, access(STAGE2 "/web/rootfs/app.sh", R_OK) ? "no app" : "the app");
    fprintf(told, "%s finds %s\n", name, access("stage1/rootfs/rkt/status/web", R_OK) ? "no status" : "the status");
    tell_link("flavor", "stage1/rootfs/flavor");
}

static void write_number(const char *path, int number) {
    FILE *file = fopen(path, "w");
    if (!file) die(path);
    fprintf(file, "%d", number);
    fclose(file);
}

static void pass_on(int number) {
    if (child > 0) kill(child, number);
}

static void into_app(const char *app) {
    char path[4096];
    snprintf(path, sizeof path, STAGE2 "/%s/rootfs", app);
    if (chroot(path) || chdir("/")) die(path);
}

static int run_app(const char *app) {
    char path[4096];
    snprintf(path, sizeof path, STAGE2 "/%s/manifest", app);
    if (access(path, R_OK)) die(path);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        into_app(app);
        execl("/bin/sh", "sh", "/app.sh", (char *)NULL);
        die("/bin/sh");
    }
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    snprintf(path, sizeof path, "stage1/rootfs/rkt/status/%s", app);
    write_number(path, code);
    return code;
}

/* A process beside the pod that has the lock and nothing else, until somebody opens the FIFO and closes it. */
static void keep_lock(void) {
    if (fork()) return;
    for (int fd = 0; fd < 256; fd++)
        if (fd != atoi(getenv("RKT_LOCK_FD"))) close(fd);
    char byte;
    int hold = open(getenv("FOREIGN_HOLD"), O_RDONLY);
    while (read(hold, &byte, 1) > 0) continue;
    _exit(0);
}

static int run(int argc, char **argv) {
    for (int i = 1; i < argc - 1; i++)
        if (!known(argv[i])) {
            fprintf(stderr, "foreign stage1: flag provided but not defined: %s\n", argv[i]);
            return 2;
        }
    fprintf(told, "run lock %s\n", lock_state());
    fprintf(told, "run selinux %s\n", getenv("RKT_SELINUX_CONTEXT") ? getenv("RKT_SELINUX_CONTEXT") : "(unset)");
    fprintf(told, "run mine %s\n", getenv("FOREIGN_MINE") ? getenv("FOREIGN_MINE") : "(unset)");
    fflush(told);
    if (is_mode("background")) {
        int ready[2];
        char byte;
        if (pipe(ready)) die("pipe");
        if (fork()) {
            close(ready[1]);
            return read(ready[0], &byte, 1) == 1 ? 0 : 98;
        }
        close(ready[0]);
        setsid();
        write_number("ppid", getpid());
        if (write(ready[1], "", 1) != 1) die("pipe");
        close(ready[1]);
    } else
        write_number("ppid", getpid());
    signal(SIGTERM, pass_on);
    DIR *apps = opendir(STAGE2);
    if (!apps) die(STAGE2);
    int first = 0;
    for (struct dirent *entry; (entry = readdir(apps));)
        if (entry->d_name[0] != '.') {
            int code = run_app(entry->d_name);
            first = first ? first : code;
        }
    if (is_mode("late")) keep_lock();
    return first;
}

/* --pid=N --appname=APP -- COMMAND ARGS, all of them there. */
static int enter(int argc, char **argv) {
    if (argc < 5 || !starts(argv[1], "--pid=") || !starts(argv[2], "--appname=") || strcmp(argv[3], "--")) return 2;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/root", atoi(argv[1] + 6));
    if (access(path, X_OK)) die(path);
    fclose(told);
    into_app(argv[2] + 10);
    execvp(argv[4], argv + 4);
    die(argv[4]);
    return 0;
}

static int stop(int argc, char **argv) {
    int pid = 0;
    FILE *file = fopen("ppid", "r");
    if (!file || fscanf(file, "%d", &pid) != 1 || argc < 2) die("ppid");
    return kill(pid, strcmp(argv[1], "--force") ? SIGTERM : SIGKILL) ? 1 : 0;
}

int main(int argc, char **argv) {
    const char *log = getenv("FOREIGN_LOG");
    if (!log || !(told = fopen(log, "a"))) die("FOREIGN_LOG");
    fcntl(fileno(told), F_SETFD, FD_CLOEXEC);
    name = strrchr(argv[0], '/') + 1;
    tell_circumstances(argc, argv);
    fflush(told);
    if (!strcmp(name, "run")) return run(argc, argv);
    if (!strcmp(name, "enter")) return enter(argc, argv);
    return strcmp(name, "stop") ? 0 : stop(argc, argv);
}
