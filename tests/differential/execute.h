/* execute.h: one function a step: it calls the seam, holds what comes against the model, and brings both forward.
 *
 * A step that the model says must fail is called all the same: it has to fail, and to change nothing. */
#ifndef PALIO_TESTS_DIFFERENTIAL_EXECUTE_H
#define PALIO_TESTS_DIFFERENTIAL_EXECUTE_H

#include "model.h"
#include "trace.h"

/* X(name, weight): every kind of step, and how often the generator picks it, relative to the others. */
#define STEPS(X)                                                                                                       \
    X(open, 60)                                                                                                        \
    X(pair, 50)                                                                                                        \
    X(listen, 40)                                                                                                      \
    X(connect, 120)                                                                                                    \
    X(accept, 40)                                                                                                      \
    X(pass, 20)                                                                                                        \
    X(duplicate, 20)                                                                                                   \
    X(close, 60)                                                                                                       \
    X(release, 15)                                                                                                     \
    X(shutdown, 15)                                                                                                    \
    X(name, 10)                                                                                                        \
    X(send, 200)                                                                                                       \
    X(receive, 150)                                                                                                    \
    X(send_messages, 60)                                                                                               \
    X(receive_messages, 60)                                                                                            \
    X(fill, 12)                                                                                                        \
    X(drain, 60)                                                                                                       \
    X(watch, 150)                                                                                                      \
    X(unwatch, 80)                                                                                                     \
    X(wait, 200)                                                                                                       \
    X(sock_wait, 30)                                                                                                   \
    X(wake, 20)                                                                                                        \
    X(signal, 10)                                                                                                      \
    X(reopen, 10)                                                                                                      \
    X(submit_receive, 80)                                                                                              \
    X(submit_send, 80)                                                                                                 \
    X(submit_bulk, 20)                                                                                                 \
    X(submit_accept, 25)                                                                                               \
    X(submit_connect, 60)                                                                                              \
    X(cancel, 40)                                                                                                      \
    X(lease_receive, 120)                                                                                              \
    X(lease_release, 60)                                                                                               \
    X(lease_reserve, 30)                                                                                               \
    X(lease_send, 40)                                                                                                  \
    X(lease_bulk, 40)                                                                                                  \
    X(file_open, 15)                                                                                                   \
    X(file_read, 20)                                                                                                   \
    X(file_write, 30)                                                                                                  \
    X(file_size, 10)                                                                                                   \
    X(file_close, 10)                                                                                                  \
    X(map, 20)                                                                                                         \
    X(submit_job, 30)                                                                                                  \
    X(cancel_job, 10)                                                                                                  \
    X(child, 3)                                                                                                        \
    X(option, 15)                                                                                                      \
    X(mistake, 40)

enum step_kind {
#define STEP_KIND(name, weight) STEP_##name,
    STEPS(STEP_KIND)
#undef STEP_KIND
        STEP_KINDS
};

/* What a step is about; which fields mean something, and what, its function knows. */
struct step {
    enum step_kind kind;
    int sock, other; /* in model.socks */
    int poll, request, lent;
    enum kind sort; /* of sockets */
    uint32_t size, count, flags;
    uint64_t choice; /* random bits for what else there is to choose */
};

#define STEP_FUNCTION(name, weight) void step_##name(struct model *model, const struct step *step);
STEPS(STEP_FUNCTION)
#undef STEP_FUNCTION

/* ---- from execute_wait.c ---- */

/* Waits, again and again, until the poll has reported all that is due, and looks at every event on the way. */
void settle(struct model *model, int poll, uint64_t choice);

/* The same in parts: begin, as many single waits as wanted, end. */
void settle_begin(const struct model *model);
void turn(struct model *model, int poll);
void settle_end(struct model *model, int poll);

/* An op that ended gave leases back: whether a socket starves before or after that is open. */
void leases_came_back(int poll);

/* Settles the polls on which cancelled ops of a sock have their events to come. */
void settle_ending(struct model *model, int sock);

/* Waits until what was sent to an end has arrived, so that what follows does not depend on the network's pace. */
void arrive(struct model *model, int end);

/* Where time is virtual, what is under way arrives; elsewhere it does by itself. */
void pass_time(const struct model *model);

/* The arrays of the last waits have changed in no way but one (rule 1). */
void check_arrays(const struct model *model);

/* ---- from execute_watch.c ---- */

/* Watches, and expects what the model says. */
void watch(struct model *model, int sock, int poll, uint32_t interest);

void signals_begin(struct model *model);
void poll_open(struct model *model, int poll, uint64_t choice);
void poll_close(struct model *model, int poll);

/* ---- from execute_life.c ---- */

/* Takes a handle that the backend has given into the model: its place in model.socks. */
int hold(struct model *model, pal_sock handle, int end);

void nobody_open(enum kind kind);
void nobody_close(enum kind kind);

/* The connection that accept gave: its end, and it waits no more. */
int accepted_end(struct model *model, int listener);

void connected(struct model *model, int sock, int listener); /* it is, and waits to be accepted */
struct pal_addr nobodys_address(enum kind kind);             /* where nobody listens */

/* ---- from execute_bytes.c ---- */

/* Checks size bytes of buffer, or a message, against what is on its way to the sock, and takes them off it. */
void took_bytes(struct model *model, int sock, const void *buffer, uint64_t size, const char *how);
void took_record(struct model *model, int sock, const void *buffer, uint64_t size, const char *how);
void took_message(struct model *model, int sock, const struct pal_msg *msg, uint64_t room, bool peek);

/* Takes size bytes, or a record with room for so many, by a try: what an op has left is taken all the same. */
void take_bytes(struct model *model, int sock, uint64_t size);
void take_record(struct model *model, int sock, size_t room);

/* size bytes, or a record of them, have gone from one end to another. */
void sent(struct model *model, int from, int to, uint64_t size);

/* Which bytes are to be sent to an end next. */
uint64_t position_of_next(const struct end *end);

/* Messages of size bytes each, one behind the other, in pieces of which one is empty. */
void messages_make(struct pal_msg *msgs, struct pal_iov iov[][PIECES_MAX], uint8_t *bytes, int count, uint32_t size,
                   uint64_t choice);

/* Reads all that is on its way to a sock's end, while an op that sends to it ends. */
void drain(struct model *model, int sock);

/* ---- from execute_ops.c ---- */

/* pal_cancel has been called for it. */
void request_cancelled(struct model *model, struct request *request);

/* An op's event, or the immediate end of it: text, of 64 bytes, gets what the contract fixes of its result. */
void request_finish(struct model *model, struct request *request, int32_t result, char *text);

/* ---- from execute_files.c ---- */

void contents_begin(struct model *model);
void contents_end(struct model *model);
void contents_abandon(void); /* removes the files of a program that a violation has stopped */

/* What a write makes of a file's bytes, and how many of them a read gives. */
void content_write(struct content *content, const void *bytes, size_t size, size_t offset);
size_t content_read(const struct content *content, size_t size, size_t offset);

/* An op on a file is out, or has ended. */
void file_take(struct model *model, int file);
void file_free(struct model *model, int file);

/* ---- from execute_jobs.c ---- */

/* The event of a job, or of a child's end: whose it is, or NONE. */
int see_job(struct model *model, int poll, const struct pal_event *event);
int see_child(struct model *model, int poll, const struct pal_event *event);

/* A child that ends by itself with a status, or one that waits to be killed. */
int child_spawn(pal_proc *out, bool ends, int32_t status);
int child_await(pal_proc handle, struct pal_proc_info *info); /* pal_proc_wait for its end */
void children_begin(void);
void children_done(void);
void children_end(struct model *model);

/* Where time is virtual it need not wait for children: those that end, and are watched on this poll, end now. */
void children_await(const struct model *model, int poll);

/* ---- from execute_break.c ---- */

/* Does what the seam aborts for. Everything is idle. */
void break_a_rule(struct model *model, uint64_t choice);

/* ---- from execute_tries.c ---- */

/* Are the simulator's faults on (--faults)? Then calls may say PAL_EAGAIN or PAL_ENOBUFS for no reason that the model
 * knows, and move fewer bytes than they could. */
void tries_begin(bool with_faults);
bool faults_are_on(void);
bool is_fault(int64_t result); /* it may be one */

/* The seam's calls, made again while what they say may be a fault. */
int32_t try_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags);
int32_t try_send(pal_sock sock, const void *data, size_t size, uint32_t flags);
int try_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags);
int try_send_msgs(pal_sock sock, struct pal_msg *msgs, int count);
int try_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr);
int try_open(enum kind kind, pal_sock *out);
int try_lease_recv(pal_sock sock, struct pal_lease *out, int max);
int try_lease_send(pal_sock sock, struct pal_lease *leases, int count);

/* ---- from execute_leases.c ---- */

/* The bytes of one of the leases that are held, another one each time, are as they were. */
void check_leases(struct model *model);

/* Takes a lease that the backend has given into the model: its place in model.lent. sock: NONE for a reserved one. */
int hold_lease(struct model *model, const struct pal_lease *lease, int poll, int sock);

/* Gives a lease back. */
void release_lent(struct model *model, int lent);

#endif
