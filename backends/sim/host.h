/* host.h: what a host of the simulated world goes through: turns of its stack, crashes, pauses; and who owns a handle.
 * See world.h. */
#ifndef PAL__SIM_HOST_H
#define PAL__SIM_HOST_H

#include "../common/slot.h"
#include "world.h"

/* ---- handles ---- */

/* The host on which a handle was made. Of a stale one it may be any, or NULL. */
struct host *pal__s_owner(pal_sock sock);
void pal__s_own(uint64_t id, const struct host *host);

/* A poll of this host was opened; and which host that was. */
void pal__s_own_poll(const pal_poll *poll, struct host *host);
struct host *pal__s_poll_host(const pal_poll *poll);

/* ---- stacks ---- */

/* The program is about to call this host's stack: it gets the time, and a flush before time passes. NULL: nothing is
 * done. */
void pal__s_host_touch(struct host *host);

/* Sends what stacks have left to send, and notes when each of them is due again. */
void pal__s_hosts_flush(void);
void pal__s_hosts_set_time(uint64_t now_ns);

/* When the next frame, timer or action is due; and what is due by now_ns happens. */
uint64_t pal__s_hosts_next(void);
void pal__s_hosts_happen(uint64_t now_ns);

/* Strands that look at sockets of this host are to look again (schedule.c). */
void pal__s_rouse_lookers(struct host *host);

/* Ends all hosts there are: before a world begins. */
void pal__s_hosts_end(void);

/* What the stacks' memory, and all else of the world, comes from; counted. */
const struct pal_allocator *pal__s_allocator(void);
uint64_t pal__s_allocations(void);

/* Whether pal_setup was given an allocator: before a world has begun, for what that has is given back where it came
 * from. */
void pal__s_world_allocator(bool given);
bool pal__s_world_has_begun(void);

/* ---- fortune.c: actions of the plan, and faults that strike hosts by chance ---- */

void pal__s_fortune_begin(const struct plan *plan, uint64_t now_ns);
uint64_t pal__s_fortune_next(void);
bool pal__s_restarts_due(void); /* is a host that has crashed to begin again, by itself? */
void pal__s_fortune_happen(uint64_t now_ns);
void pal__s_fortune_counters(struct pal_sim_counters *out);

/* ---- fault.c: calls that fail or do less than they could ---- */

void pal__s_fault_begin(void);
int pal__s_fault_check(const struct pal_sim_faults *faults); /* 0, PAL_EINVAL */
void pal__s_fault_set(const struct pal_sim_faults *faults);
void pal__s_fault_counters(struct pal_sim_counters *out);

/* Of a call that opens or accepts: 0, PAL_EMFILE, PAL_ENOBUFS. */
int pal__s_fault_open(void);

/* Of a call that receives, sends or accepts: 0, PAL_EAGAIN, PAL_ENOBUFS (sends only), or, a connection having been
 * reset, PAL_ECONNRESET. */
int pal__s_fault_call(pal_sock sock, bool sends);

/* How many of size bytes a call moves. */
size_t pal__s_fault_size(pal_sock sock, size_t size);

/* After a wait: it comes late. */
void pal__s_fault_stall(void);

/* ---- fortunes: PAL_CTL_SIM_* of the same names ---- */

/* Closes all handles and polls of a host that crashes, whatever is still out on them (crash.c). */
void pal__s_close_all(struct host *host);

/* A host more, whose name nobody has. PAL_EEXIST: somebody has one of its addresses; PAL_ENOBUFS, PAL_ENOMEM. */
int pal__s_host_join(const struct plan_host *spec, struct host **out);

int pal__s_host_start(struct host *host, const struct pal_sim_start *start);
int pal__s_host_crash(struct host *host);
int pal__s_host_restart(struct host *host);
int pal__s_host_pause(struct host *host, bool paused);
int pal__s_host_jump(struct host *host, int64_t jump_ns);
int pal__s_set_faults(const struct pal_sim_faults *faults);
int pal__s_cut(uint32_t a, uint32_t b, bool cut);
struct wire *pal__s_wire(void);

/* Does time wait for nothing outside (PAL_SIM_VIRTUAL)? */
bool pal__s_is_virtual(void);

/* Does this poll wait for something outside: a descriptor, or a signal? */
bool pal__s_waits_outside(pal_poll *poll);

/* Is there a child whose handle is open? */
bool pal__s_has_children(void);

#endif
