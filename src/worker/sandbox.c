#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/banned.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Rights that came after the kernel headers of Debian 12. */
#define RIGHT_REFER (1ULL << 13)    /* Landlock 2 */
#define RIGHT_TRUNCATE (1ULL << 14) /* Landlock 3 */

#define RIGHTS_READ ((uint64_t)(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR))
#define RIGHTS_WRITE                                                                                                              \
    ((uint64_t)(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                  \
                LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                        \
                LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                     \
                LANDLOCK_ACCESS_FS_MAKE_SYM))

/* Where shared libraries and their data lie; readable whatever the options say. A missing one is no error. */
static const char *const SYSTEM_FOLDERS[] = {"/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/null",
                                             "/dev/urandom", "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo", NULL};

/* What decoding, computing, threads and the channel need, and nothing that reaches another process or the network: the channel's
 * socket can be read and written, but no other can be made. */
static const int ALLOWED[] = {
    /* files; Landlock decides which */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(preadv),
    SCMP_SYS(pwritev), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(stat), SCMP_SYS(fstat),
    SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(lseek), SCMP_SYS(_llseek),
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents64),
    SCMP_SYS(getcwd), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fsync),
    SCMP_SYS(fdatasync), SCMP_SYS(fadvise64), SCMP_SYS(readahead), SCMP_SYS(flock), SCMP_SYS(fcntl), SCMP_SYS(umask), SCMP_SYS(dup),
    SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(eventfd2), SCMP_SYS(memfd_create),
    /* waiting, and the channel that is already open */
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(shutdown), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(msync),
    SCMP_SYS(mincore), SCMP_SYS(mlock), SCMP_SYS(munlock), SCMP_SYS(membarrier), SCMP_SYS(get_mempolicy), SCMP_SYS(pkey_alloc),
    /* threads of this process; clone itself is bound below */
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list), SCMP_SYS(rseq), SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_setaffinity), SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler), SCMP_SYS(sched_get_priority_max), SCMP_SYS(sched_get_priority_min), SCMP_SYS(getpriority),
    SCMP_SYS(getcpu), SCMP_SYS(gettid), SCMP_SYS(arch_prctl), SCMP_SYS(exit), SCMP_SYS(exit_group),
    /* signals to itself (abort) */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall),
    /* questions */
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
    SCMP_SYS(getrandom), SCMP_SYS(getrusage), SCMP_SYS(getrlimit), SCMP_SYS(setrlimit), SCMP_SYS(sysinfo), SCMP_SYS(uname),
    SCMP_SYS(times), SCMP_SYS(time), SCMP_SYS(gettimeofday), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
};

/* The rules that look at their first argument. */
static int add_bound_rules(scmp_filter_ctx filter) {
    const struct {
        int call;
        enum scmp_compare compare;
        scmp_datum_t a, b;
    } BOUND[] = {
        /* new threads yes, new processes no; clone3 hides its flags, so it is "unknown" and the C library falls back to clone */
        {SCMP_SYS(clone), SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD},
        {SCMP_SYS(prctl), SCMP_CMP_EQ, PR_SET_NAME, 0},
        {SCMP_SYS(tgkill), SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0},
        {SCMP_SYS(prlimit64), SCMP_CMP_EQ, 0, 0}, /* own limits only */
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof BOUND / sizeof *BOUND; i++) {
        struct scmp_arg_cmp first = {.arg = 0, .op = BOUND[i].compare, .datum_a = BOUND[i].a, .datum_b = BOUND[i].b};
        rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, BOUND[i].call, 1, &first);
    }
    return rc;
}

static Status enter_seccomp(Error *err) {
    /* "No such call" rather than death: libraries probe for new calls and fall back. */
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int rc = filter ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < sizeof ALLOWED / sizeof *ALLOWED; i++)
        if (ALLOWED[i] >= 0) rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, ALLOWED[i], 0); /* negative: not on this machine */
    if (rc == 0) rc = add_bound_rules(filter);
    if (rc == 0) rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0) rc = seccomp_load(filter);
    if (filter) seccomp_release(filter);
    return rc == 0 ? STATUS_OK : error_set_errno(err, -rc, "The system call filter cannot be set");
}

static Status allow_beneath(int rules, const char *path, uint64_t rights, bool required, Error *err) {
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return required ? error_set_errno(err, errno, "%s", path) : STATUS_OK;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    long rc = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    if (rc != 0 && errno == EINVAL) { /* a plain file takes no rights of folders */
        rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE;
        rc = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    }
    int saved = errno;
    close(fd);
    return rc == 0 ? STATUS_OK : error_set_errno(err, saved, "%s", path);
}

static Status allow_folders(int rules, const SandboxOptions *options, uint64_t write_rights, Error *err) {
    Status status = STATUS_OK;
    uint64_t reading = options->read_folders ? RIGHTS_READ : 0;
    for (const char *const *p = options->write_folders; p && *p && status == STATUS_OK; p++)
        status = allow_beneath(rules, *p, write_rights | reading, true, err);
    if (!reading) return status;
    for (const char *const *p = options->read_folders; *p && status == STATUS_OK; p++)
        status = allow_beneath(rules, *p, reading, true, err);
    for (const char *const *p = SYSTEM_FOLDERS; *p && status == STATUS_OK; p++)
        status = allow_beneath(rules, *p, reading, false, err);
    return status;
}

static Status enter_landlock(const SandboxOptions *options, bool *present, Error *err) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    *present = version >= 1;
    if (!*present) return STATUS_OK;
    uint64_t write_rights = RIGHTS_WRITE | (version >= 2 ? RIGHT_REFER : 0) | (version >= 3 ? RIGHT_TRUNCATE : 0);
    struct landlock_ruleset_attr attributes = {
        .handled_access_fs = write_rights | LANDLOCK_ACCESS_FS_EXECUTE | (options->read_folders ? RIGHTS_READ : 0)};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (rules < 0) return error_set_errno(err, errno, "Landlock");
    Status status = allow_folders(rules, options, write_rights, err);
    if (status == STATUS_OK && syscall(SYS_landlock_restrict_self, rules, 0) != 0) status = error_set_errno(err, errno, "Landlock");
    close(rules);
    return status;
}

static Status limit(int resource, uint64_t value, Error *err) {
    struct rlimit present;
    if (getrlimit((__rlimit_resource_t)resource, &present) != 0) return error_set_errno(err, errno, "getrlimit");
    if (present.rlim_max != RLIM_INFINITY && present.rlim_max < value) value = present.rlim_max;
    struct rlimit wanted = {.rlim_cur = value, .rlim_max = value};
    return setrlimit((__rlimit_resource_t)resource, &wanted) == 0 ? STATUS_OK : error_set_errno(err, errno, "setrlimit");
}

Status sandbox_enter(const SandboxOptions *options, SandboxReport *report, Error *err) {
    *report = (SandboxReport){.seccomp = !SANITIZED};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return error_set_errno(err, errno, "no_new_privs");
    if (!SANITIZED) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    Status status = limit(RLIMIT_CORE, 0, err);
    if (status == STATUS_OK && options->memory_bytes && !SANITIZED) status = limit(RLIMIT_AS, options->memory_bytes, err);
    if (status == STATUS_OK) status = enter_landlock(options, &report->landlock, err);
    if (status == STATUS_OK && report->seccomp) status = enter_seccomp(err);
    return status == STATUS_OK ? status : error_prefix(err, "Sandbox");
}

void sandbox_limit_cpu(unsigned seconds) {
    struct rusage used;
    struct rlimit present;
    if (getrusage(RUSAGE_SELF, &used) != 0 || getrlimit(RLIMIT_CPU, &present) != 0) return;
    present.rlim_cur = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + seconds + 1;
    if (present.rlim_max != RLIM_INFINITY && present.rlim_cur > present.rlim_max) present.rlim_cur = present.rlim_max;
    setrlimit(RLIMIT_CPU, &present);
}
