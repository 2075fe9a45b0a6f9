/* quiet.c: DPDK's interrupt thread stands still while a port goes away that it may be at work for.
 *
 * The driver of memif hears of its peers in that thread: by its listening socket, and by a socket for each peer. Three
 * things of it are not safe against a port's end in another thread.
 * - The thread takes a connection down with the driver's own function, the one which stop calls: both unmap and close
 *   the same, and close frees the queues below it.
 * - A listening socket is never taken from the thread: its function is called with freed memory if somebody connects.
 *   Nor are connections that have not yet said what they are for.
 * - What the thread keeps of that socket is memory of DPDK's, which EAL's end unmaps, while the thread still reads it
 *   whenever its list of descriptors has changed.
 * So the thread is held in a function of ours, called for a descriptor of ours, while such a port is stopped and closed
 * and while EAL ends. It has its list made anew for a new descriptor: whatever it hears of together with ours it has
 * found after that. For the driver's sockets, which stay on the list, silent descriptors are put in their place. */
#define ALLOW_EXPERIMENTAL_API /* rte_intr_instance_alloc and its like: there is no other way to the list */
#include "quiet.h"

#include "ethdev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_interrupts.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LOOK_US = 20, LOOKS = 50000 }; /* a second */

static struct {
    struct rte_intr_handle *handle;
    int fd;
    sem_t held, go_on;
    bool is_held, is_stuck, is_needed;
} quiet;

/* ---- the thread ---- */

static void stand_still(void *unused)
{
    uint64_t count;

    (void)unused;
    (void)!read(quiet.fd, &count, sizeof(count)); /* once is enough */
    (void)sem_post(&quiet.held);
    while (sem_wait(&quiet.go_on) != 0)
        continue;
}

static void forget(void)
{
    if (quiet.fd >= 0)
        (void)close(quiet.fd);
    rte_intr_instance_free(quiet.handle);
}

/* A descriptor of ours, readable at once, on the thread's list. */
static bool call_it(void)
{
    quiet.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    quiet.handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
    (void)sem_init(&quiet.held, 0, 0);
    (void)sem_init(&quiet.go_on, 0, 0);
    if (quiet.fd >= 0 && quiet.handle != NULL && rte_intr_fd_set(quiet.handle, quiet.fd) == 0 &&
        rte_intr_type_set(quiet.handle, RTE_INTR_HANDLE_EXT) == 0 &&
        rte_intr_callback_register(quiet.handle, stand_still, NULL) == 0)
        return true;
    forget();
    return false;
}

/* Not if it is called at this moment: then it will be still. */
static bool call_it_off(void)
{
    return rte_intr_callback_unregister(quiet.handle, stand_still, NULL) != -EAGAIN;
}

static bool hold(void)
{
    if (quiet.is_held || quiet.is_stuck)
        return quiet.is_held;
    if (!call_it())
        return false;
    for (int i = 0; i < LOOKS && !quiet.is_held; i++) {
        quiet.is_held = sem_trywait(&quiet.held) == 0;
        if (!quiet.is_held)
            usleep(LOOK_US);
    }
    if (!quiet.is_held && call_it_off()) {
        forget();
        quiet.is_stuck = true;
    }
    while (!quiet.is_held && !quiet.is_stuck)
        quiet.is_held = sem_wait(&quiet.held) == 0;
    return quiet.is_held;
}

static void release(void)
{
    if (!quiet.is_held)
        return;
    (void)sem_post(&quiet.go_on);
    while (!call_it_off())
        usleep(LOOK_US);
    forget();
    quiet.is_held = false;
}

/* ---- the sockets of a memif ---- */

static bool is_memif(uint16_t port, struct rte_eth_dev_info *info)
{
    return rte_eth_dev_info_get(port, info) == 0 && info->driver_name != NULL &&
           strcmp(info->driver_name, "net_memif") == 0;
}

/* Of its socket, if others connect to it: those that it has accepted are called the same. */
static bool find_name(const struct rte_eth_dev_info *info, char *name)
{
    const struct rte_devargs *words = info->device != NULL ? rte_dev_devargs(info->device) : NULL;
    struct dpdk_device device = {.mtu = 0};
    char role[DPDK_WORD_MAX];

    if (words == NULL || words->args == NULL)
        return false; /* then it connects by itself */
    snprintf(device.text, sizeof(device.text), ",%s", words->args);
    if (!pal__d_device_value(&device, "role", role) ||
        (strstr(role, "server") == NULL && strstr(role, "master") == NULL))
        return false;
    if (!pal__d_device_value(&device, "socket", name))
        snprintf(name, DPDK_WORD_MAX, "/run/memif.sock"); /* as the driver has it */
    return true;
}

static bool is_called(int fd, const char *name)
{
    struct sockaddr_un local;
    socklen_t size = sizeof(local), type_size = sizeof(int);
    size_t length = strlen(name);
    const char *at = local.sun_path;
    int type;

    memset(&local, 0, sizeof(local));
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) != 0 || type != SOCK_SEQPACKET ||
        getsockname(fd, (struct sockaddr *)&local, &size) != 0 || local.sun_family != AF_UNIX)
        return false;
    size -= size < offsetof(struct sockaddr_un, sun_path) ? size : (socklen_t)offsetof(struct sockaddr_un, sun_path);
    if (size > sizeof(local.sun_path))
        size = sizeof(local.sun_path);
    if (size > 0 && *at == '\0') { /* it is in no folder */
        at++;
        size--;
    }
    return strnlen(at, size) == length && memcmp(at, name, length) == 0;
}

/* Puts a descriptor that never says anything in the place of each: the thread finds nothing to do any more, peers find
 * that the connection has ended, and the name is free. */
static bool silence(const char *name)
{
    DIR *folder = opendir("/proc/self/fd");
    int silent = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const struct dirent *entry;

    while (folder != NULL && silent >= 0 && (entry = readdir(folder)) != NULL) {
        int fd = entry->d_name[0] != '.' ? atoi(entry->d_name) : -1;

        if (fd >= 0 && is_called(fd, name))
            (void)dup3(silent, fd, O_CLOEXEC);
    }
    if (silent >= 0)
        (void)close(silent);
    if (folder != NULL)
        (void)closedir(folder);
    return folder != NULL && silent >= 0;
}

/* ---- what port.c calls ---- */

bool pal__d_quiet_begin(uint16_t port)
{
    char name[DPDK_WORD_MAX];
    struct rte_eth_dev_info info;

    if (!is_memif(port, &info))
        return true;
    quiet.is_needed = true;
    if (!hold() || !find_name(&info, name))
        return quiet.is_held;
    if (!silence(name))
        return false;
    release(); /* for what it had heard of before they were silent */
    return hold();
}

void pal__d_quiet_end(void)
{
    release();
}

void pal__d_quiet_stay(void)
{
    if (quiet.is_needed)
        (void)hold();
}

bool pal__d_quiet_may_end(void)
{
    return !quiet.is_needed || quiet.is_held;
}
