#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define OWN_ARCHITECTURE AUDIT_ARCH_RISCV64
#else
#error "the system call filter knows x86-64, aarch64 and riscv64"
#endif

enum { CALLS_MAX = 120, X32_CALLS = 0x40000000 };

/* What a process that computes needs, with what C libraries do on their own (locks, random seeds,
 * abort). */
static const uint16_t computing_calls[] = {
    SYS_read,        SYS_write,          SYS_readv,        SYS_writev,      SYS_recvmsg,
    SYS_recvfrom,    SYS_sendto,         SYS_munmap,       SYS_mremap,      SYS_madvise,
    SYS_brk,         SYS_futex,          SYS_exit,         SYS_exit_group,  SYS_rt_sigreturn,
    SYS_close,       SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_sigaltstack, SYS_clock_gettime,
    SYS_getrandom,   SYS_sched_yield,    SYS_tgkill,       SYS_getpid,      SYS_gettid,
    SYS_gettimeofday};

/* What no program that turns one descriptor into another needs. */
static const uint16_t refused_calls[] = {SYS_socket,
                                         SYS_socketpair,
                                         SYS_connect,
                                         SYS_bind,
                                         SYS_listen,
                                         SYS_accept,
                                         SYS_accept4,
                                         SYS_ptrace,
                                         SYS_kill,
                                         SYS_tkill,
                                         SYS_process_vm_readv,
                                         SYS_process_vm_writev,
                                         SYS_mount,
                                         SYS_umount2,
                                         SYS_unshare,
                                         SYS_setns,
                                         SYS_bpf,
                                         SYS_keyctl,
                                         SYS_add_key,
                                         SYS_request_key,
                                         SYS_init_module,
                                         SYS_kexec_load,
                                         SYS_perf_event_open,
                                         SYS_io_uring_setup,
                                         SYS_finit_module,
                                         SYS_chroot,
                                         SYS_pivot_root,
                                         SYS_userfaultfd,
                                         SYS_delete_module,
                                         SYS_swapon,
                                         SYS_swapoff,
                                         SYS_reboot,
                                         SYS_name_to_handle_at,
                                         SYS_open_by_handle_at};

struct filter {
    struct sock_filter step[2 * CALLS_MAX + 16];
    unsigned short count;
};

static void add_step(struct filter *filter, struct sock_filter step)
{
    ASSERT(filter->count < sizeof filter->step / sizeof *filter->step);
    filter->step[filter->count++] = step;
}

static void add_return(struct filter *filter, uint32_t action)
{
    add_step(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static const uint32_t refusal = SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA);

/* Calls of another architecture's numbering would mean something else: they end the process. */
static void add_head(struct filter *filter)
{
    add_step(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                  offsetof(struct seccomp_data, arch)));
    add_step(filter,
             (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCHITECTURE, 1, 0));
    add_return(filter, SECCOMP_RET_KILL_PROCESS);
    add_step(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                  offsetof(struct seccomp_data, nr)));
    add_step(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_CALLS, 0, 1));
    add_return(filter, refusal);
}

static void add_call(struct filter *filter, uint32_t call, uint32_t action)
{
    add_step(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
    add_return(filter, action);
}

/* Memory may be mapped, but never as code. */
static void add_mapping(struct filter *filter, uint32_t call)
{
    add_step(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4));
    add_step(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                  offsetof(struct seccomp_data, args[2])));
    add_step(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1));
    add_return(filter, refusal);
    add_return(filter, SECCOMP_RET_ALLOW);
}

static status install(const struct filter *filter, struct error *error)
{
    struct sock_fprog program = {filter->count, (struct sock_filter *)(uintptr_t)filter->step};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
        return fail_errno(error, "the filter of system calls can't be installed");
    return OK;
}

/* ---- Landlock ---- */

/* As the kernel's newest header has it; older kernels take a shorter one. */
struct landlock_rules {
    uint64_t files, net, scope;
};

static long landlock_version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static uint64_t landlock_file_rights(long version)
{
    int bits = version >= 5 ? 16 : version >= 3 ? 15 : version == 2 ? 14 : 13;
    return ((uint64_t)1 << bits) - 1;
}

static void allow_below(int rules, const char *path)
{
    struct landlock_path_beneath_attr below = {.allowed_access = LANDLOCK_ACCESS_FS_EXECUTE |
                                                                 LANDLOCK_ACCESS_FS_READ_FILE |
                                                                 LANDLOCK_ACCESS_FS_READ_DIR,
                                               .parent_fd = open(path, O_PATH | O_CLOEXEC)};
    if (below.parent_fd < 0)
        return; /* what is not there needs no right */
    (void)!syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0);
    close(below.parent_fd);
}

static status confine_files(bool reading_system, struct error *error)
{
    long version = landlock_version();
    struct landlock_rules rules = {landlock_file_rights(version), 3, 3};
    size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
    static const char *const paths[] = {"/usr", "/lib",       "/lib64",
                                        "/bin", "/etc/fonts", "/etc/ld.so.cache"};
    int descriptor = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (descriptor < 0)
        return fail_errno(error, "Landlock refuses its rules");
    for (size_t i = 0; reading_system && i < sizeof paths / sizeof *paths; i++)
        allow_below(descriptor, paths[i]);
    long result = syscall(SYS_landlock_restrict_self, descriptor, 0);
    close(descriptor);
    return result == 0 ? OK : fail_errno(error, "Landlock can't be switched on");
}

/* ---- memory ---- */

/* What the process has already, shadow memory of sanitizers too, does not count. */
static status limit_memory(uint64_t memory_bytes, struct error *error)
{
    char text[256] = {0};
    int descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t len = descriptor < 0 ? -1 : read(descriptor, text, sizeof text - 1);
    if (descriptor >= 0)
        close(descriptor);
    unsigned long long data = 0;
    if (len <= 0 || sscanf(text, "%*u %*u %*u %*u %*u %llu", &data) != 1)
        return fail(error, ERR_IO, "/proc/self/statm can't be read, so memory can't be limited");
    uint64_t bytes = data * (uint64_t)sysconf(_SC_PAGESIZE) + memory_bytes;
    struct rlimit limit = {bytes, bytes}, none = {0, 0};
    if (setrlimit(RLIMIT_DATA, &limit) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
        return fail_errno(error, "memory can't be limited");
    return OK;
}

/* ---- the whole ---- */

enum confinement confinement_possible(void)
{
    uint32_t action = SECCOMP_RET_ERRNO;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0)
        return CONFINED_NOT;
    return landlock_version() >= 1 ? CONFINED_FULLY : CONFINED_WITHOUT_LANDLOCK;
}

const char *confinement_notice(enum confinement confinement)
{
    static const char *const notices[] = {
        NULL, "this kernel has no Landlock: parsers are held by the filter of system calls alone",
        "this kernel has no filter of system calls: parsers run in a child with limits of memory "
        "and time only"};
    ASSERT(confinement < sizeof notices / sizeof *notices);
    return notices[confinement];
}

static status confine_begin(uint64_t memory_bytes, bool reading_system, struct error *error)
{
    TRY(limit_memory(memory_bytes, error));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail_errno(error, "privileges can't be given up");
    if (landlock_version() >= 1)
        TRY(confine_files(reading_system, error));
    return OK;
}

status confine_to_computing(uint64_t memory_bytes, struct error *error)
{
    ASSERT(error);
    TRY(confine_begin(memory_bytes, false, error));
    if (confinement_possible() == CONFINED_NOT)
        return OK;
    struct filter filter = {.count = 0};
    add_head(&filter);
    for (size_t i = 0; i < sizeof computing_calls / sizeof *computing_calls; i++)
        add_call(&filter, computing_calls[i], SECCOMP_RET_ALLOW);
    add_mapping(&filter, SYS_mmap);
    add_mapping(&filter, SYS_mprotect); /* last: each loads another word */
    add_return(&filter, refusal);
    return install(&filter, error);
}

status confine_to_reading_system(uint64_t memory_bytes, struct error *error)
{
    ASSERT(error);
    TRY(confine_begin(memory_bytes, true, error));
    if (confinement_possible() == CONFINED_NOT)
        return OK;
    struct filter filter = {.count = 0};
    add_head(&filter);
    for (size_t i = 0; i < sizeof refused_calls / sizeof *refused_calls; i++)
        add_call(&filter, refused_calls[i], refusal);
    add_return(&filter, SECCOMP_RET_ALLOW);
    return install(&filter, error);
}
