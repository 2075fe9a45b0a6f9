/* kernel.h: the kernel's side of the seam under internal names, pal__k_* for pal_* (decision 0007). bind.c gives them
 * their seam names where the kernel is the whole backend; a card or the simulator binds its own and calls these for
 * what belongs to the kernel (rule 14). What the functions do is said in pal/. */
#ifndef PAL__POSIX_KERNEL_H
#define PAL__POSIX_KERNEL_H

#include <pal/pal.h>
#include <stdatomic.h>
#include <stdbool.h>

struct slot;

/* setup.c, os.c */
int pal__k_setup(const struct pal_setup *setup);
int pal__k_info(int key, uint64_t *value);
uint64_t pal__k_clock(int which);
int pal__k_random(void *buffer, size_t size);
int pal__k_thread_start(pal_thread *out, void (*function)(void *), void *arg);
int pal__k_thread_join(pal_thread thread);
int pal__k_thread_signal(pal_thread thread, int number); /* 0: only ask */
int pal__k_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns);
void pal__k_unpark(const uint32_t *word, int count);
_Noreturn void pal__k_fatal(const char *why);

/* names.c */
int pal__k_resolve(const struct pal_query *query, struct pal_addr *out, int max);
int pal__k_names(int kind, const char *key, void *out, size_t size);

/* the waiting target: wait_epoll.c, wait_poll.c */
const struct pal_backend *pal__k_backend_info(void);
int pal__k_poll_open(pal_poll **out, const struct pal_config *config);
int pal__k_poll_close(pal_poll *poll);
int pal__k_poll_wait(pal_poll *poll, const struct pal_event **out, uint64_t deadline_ns);
int pal__k_poll_native(pal_poll *poll, intptr_t *out);
int pal__k_wait_update(pal_poll *poll, struct slot *slot, uint32_t want);
void pal__k_wait_trim(pal_poll *poll, struct slot *slot);
void pal__k_wait_forget(pal_poll *poll, struct slot *slot);
void pal__k_wait_rouse(pal_poll *poll);

/* The kernel as one lane of a poll that has others: adds what its set has now to the array, and asks once. 0, or why
 * the kernel refused. wait_epoll.c alone, as the next one: what becomes readable when it has something. */
int pal__k_poll_look(pal_poll *poll);
int pal__k_poll_descriptor(const pal_poll *poll);
int pal__k_watch(pal_poll *poll, pal_sock sock, uint32_t interest, uint64_t data);

/* wait.c */
int pal__k_poll_wake(pal_poll *poll);
int pal__k_ctl(pal_poll *poll, int key, void *value, size_t size);

/* socket.c */

/* A closed socket's description has been seen to live on (a child of fork has it): close takes
 * sockets out of the set. */
extern _Atomic bool pal__k_descriptions_outlive;
int pal__k_sock_open(int family, int type, int protocol, pal_sock *out);
int pal__k_sock_pair(int family, int type, pal_sock out[2]);
int pal__k_sock_dup(pal_sock sock, pal_sock *out);
int pal__k_sock_bind(pal_sock sock, const struct pal_addr *addr);
int pal__k_sock_listen(pal_sock sock, int backlog);
int pal__k_sock_connect(pal_sock sock, const struct pal_addr *addr);
int pal__k_sock_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr);
int pal__k_sock_shutdown(pal_sock sock, int how);
int pal__k_sock_close(pal_sock sock);
int pal__k_sock_name(pal_sock sock, int which, struct pal_addr *out);

/* adopt.c */
int pal__k_pipe(pal_sock out[2], uint32_t flags);
int pal__k_sock_adopt(intptr_t native, uint32_t flags, pal_sock *out);
int pal__k_sock_release(pal_sock sock, intptr_t *native);
void pal__k_slot_refresh(struct slot *slot);

/* sendfile.c */
int32_t pal__k_slot_sendfile(struct slot *slot, const struct pal_op *op, uint64_t offset, uint64_t size);

/* stream.c: what try.h leaves to it */
int32_t pal__k_sock_recv_slow(pal_sock sock, void *buffer, size_t size, uint32_t flags);
int32_t pal__k_sock_send_slow(pal_sock sock, const void *data, size_t size, uint32_t flags);

/* For PAL_MSG_WAIT: sees to it that the next call blocks, by the descriptor's mode where that is ours, else by waiting
 * for events (POLLIN, POLLOUT) first. */
int pal__k_block(struct slot *slot, short events);

/* For a description in blocking mode that is not ours to change: 0 if it is ready for events
 * (POLLIN ...), PAL_EAGAIN. */
int pal__k_ask_first(const struct slot *slot, short events);

/* message.c: what try.h leaves to it */
int pal__k_sock_recv_batch(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags);
int pal__k_sock_send_batch(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags);

/* option.c */
int pal__k_sock_set(pal_sock sock, uint32_t option, const void *value, size_t size);
int pal__k_sock_get(pal_sock sock, uint32_t option, void *value, size_t *size);

/* features.c: those of PAL_CAP_* that are this kernel's, not the waiting target's: STAMPS, GSO, GRO, BUSY_POLL,
 * PREFER_BUSY_POLL, INCOMING_CPU, TX_COMPLETION, QUICKACK, USER_TIMEOUT, SENDFILE, WATCH_CHILD. Any thread. 17 calls
 * the first time in a process, then none. Without a descriptor for the probes none of the sockets' is found. */
uint64_t pal__k_features(void);

/* What pal_backend_info returns: info, whose caps are 0 at first, with those of the target (caps) and of this
 * kernel. */
const struct pal_backend *pal__k_describe(struct pal_backend *info, uint64_t caps);

/* sock_wait.c */
int pal__k_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns);

/* signal.c */
int pal__k_signal_watch(pal_poll *poll, int signal_number, uint64_t data);

/* Writes the events of signals that arrived for this poll until the array has count_max entries;
 * false: some are left. */
bool pal__k_signal_deliver(pal_poll *poll, uint32_t count_max);

/* The poll is being closed: its signals do again what they did before. */
void pal__k_signal_forget(const pal_poll *poll);

/* A signal of this system's that programs may use. */
bool pal__k_signal_valid(int number);

/* What signal_ctl.c hands on: GET, DISPOSITION (*what: wanted, then what it was) and INTERRUPT. */
int pal__k_signal_get(int number, int32_t *what);
int pal__k_signal_set(int number, int32_t *what);
int pal__k_signal_interrupt(int number, int32_t on);

/* file.c */
int pal__k_file_open(const char *path, uint32_t flags, uint32_t mode, pal_file *out);
int pal__k_file_close(pal_file file);
int32_t pal__k_file_read(pal_file file, void *buffer, size_t size, uint64_t offset);
int32_t pal__k_file_write(pal_file file, const void *data, size_t size, uint64_t offset);
int pal__k_file_sync(pal_file file, int what);
int pal__k_file_resize(pal_file file, uint64_t size);
int pal__k_file_info(pal_file file, struct pal_file_info *out);

/* spawn.c, process.c */
int pal__k_proc_spawn(const struct pal_spawn *spec, pal_proc *out);
int pal__k_proc_watch(pal_poll *poll, pal_proc process, uint64_t data);
int pal__k_proc_wait(pal_proc process, struct pal_proc_info *out, uint64_t deadline_ns);
int pal__k_proc_kill(pal_proc process, int signal_number);
int pal__k_proc_close(pal_proc process);
int pal__k_child_ended(struct slot *slot, int32_t *result);

/* Does this kernel have all of pidfds that children need: opening, waiting, signalling (Linux 5.4)? Asked once. */
bool pal__k_has_pidfds(void);

/* signal_ctl.c */
int pal__k_signal_mask(int how, const uint64_t *set, uint64_t *old);
int pal__k_signal_ctl(int what, void *argument, size_t size);

/* mmap.c */
int pal__k_mmap(const struct pal_map *spec, void **out);
int pal__k_munmap(void *address, size_t size);
int pal__k_mmap_unlink(const char *name);
int pal__k_mprotect(void *address, size_t size, uint32_t protect);
int pal__k_msync(void *address, size_t size, int how);
int pal__k_madvise(void *address, size_t size, int advice);
int pal__k_mremap(void **address, size_t old_size, size_t new_size);

/* What close and release ask first: PAL_EBUSY while somebody waits for the socket; 0, and its poll has let go of it. */
int pal__k_retire(struct slot *slot);

/* Used across files: a handle for each new descriptor, which is closed when there is none. flags: SLOT_*. PAL_ENOBUFS.
 */
int pal__k_hold_new(int fd, uint32_t flags, uint8_t family, uint8_t type, pal_sock *out);
int pal__k_hold_two(const int fds[2], uint32_t flags, uint8_t family, uint8_t type, pal_sock out[2]);

#endif
