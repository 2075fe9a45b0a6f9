/* model.h: the reference model: what the program under way holds, and what docs/seam.md says follows from it.
 *
 * An *end* is an open socket or pipe end; a *sock* is a handle of it (pal_sock_dup makes a second one); a *flow* is
 * what is on its way to one end. Bytes are not kept: each flow has a key, and every byte follows from key and position,
 * so that a byte which is lost, doubled, or out of order shows. The model calls nothing of the seam.
 *
 * What happens next may depend on nothing that the contract leaves open: how much a full socket took, or whether a
 * cancelled op still succeeded, is adopted (see enum amount, enum level), levelled out as soon as can be, and not
 * traced. Otherwise two backends would soon run two different programs. */
#ifndef PALIO_TESTS_DIFFERENTIAL_MODEL_H
#define PALIO_TESTS_DIFFERENTIAL_MODEL_H

#include <pal/pal.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SOCKS_MAX = 40,   /* handles at once: pal_setup.socks_max */
    ENDS_MAX = 80,    /* with those that wait to be accepted */
    POLLS_MAX = 3,    /* all of one thread */
    REQUESTS_MAX = 8, /* ops out at once */
    LENT_MAX = 24,    /* leases held at once */
    RECORDS_MAX = 8,  /* datagrams on their way to one end: the kernel holds more (net.unix.max_dgram_qlen is 10) */
    BACKLOG_MAX = 4,
    FLIGHT_MAX = 16384, /* bytes on their way to one end, unless it is filled on purpose: every buffer holds more */
    CHUNKS_MAX = 10,    /* sends that they may be made of: so does every pipe */
    RECORD_SIZE_MAX = 2048,
    BULK_SIZE = 300 * 1024, /* more than the buffers of a unix socket or a pipe hold */
    SIGNALS_MAX = 2,
    NONE = -1 /* an index that names nothing */
};

enum kind { TCP4, TCP6, UNIX_STREAM, SEQPACKET, UNIX_DGRAM, UDP4, PIPE, KINDS };

/* What is known of the amount of a flow. */
enum amount {
    EXACT,  /* in_flight() */
    UNTOLD, /* an op, or a cancelled one, has sent some of its bytes: it is only read whole, see step_drain */
    FULL,   /* filled until no more was taken: no less is there than was sent, and no op gets on */
    DRAINING
};

/* Does a state hold that a watch reports? MAYBE: the contract leaves it open. */
enum level { NEVER, MAYBE, SURELY };

struct record {
    uint32_t size;
    uint64_t number;
    struct pal_addr from; /* of a datagram that has one, else family 0 */
};

struct flow {
    uint64_t key;
    uint64_t sent;  /* bytes; records are numbered by it */
    uint64_t taken; /* bytes */
    uint64_t may;   /* bytes that an op which is out may have sent beyond .sent */
    uint32_t chunks;
    enum amount amount;
    bool ended; /* after what is on its way comes the end of the stream */
    int record_count;
    struct record records[RECORDS_MAX]; /* the oldest first */
};

enum stage { FRESH, LISTENING, CONNECTED, REFUSED };

struct end {
    bool used;
    enum kind kind;
    enum stage stage;
    bool reads, writes; /* a pipe's end does one of them */
    int handles;        /* 0: waits to be accepted */
    int peer;           /* its end, or NONE: gone, or there never was one */
    struct flow in;
    bool shut_write;
    bool orphan;    /* its peer is gone */
    bool exported;  /* others may rely on its blocking mode: SENDFILE may be refused */
    bool tainted;   /* a reset or a shutdown of reading may have thrown bytes away: all is open but their order */
    bool unsettled; /* something sent to it may not have arrived yet */
    bool bound;
    struct pal_addr address; /* its own, where it has one */
    int backlog[BACKLOG_MAX], backlog_count;
    int32_t keepalive, tos; /* options as set; -1: not known */
};

struct sock {
    bool live;
    pal_sock handle;
    int end;
    uint64_t life;                   /* tells it from others in this place */
    int poll;                        /* which it was watched or submitted on last, or NONE */
    uint32_t interest;               /* of its watch; 0: none */
    uint64_t data;                   /* of the watch */
    struct request *reader, *writer; /* ops that are out and not cancelled */
    int ending;                      /* ops that are cancelled: whether they still take a side is open */
    bool shared;                     /* adopted PAL_ADOPT_SHARED */
    bool hungry, starved;            /* rule 13 */
    uint32_t share;                  /* leases lent through it, which count against its share */
    bool share_unsure;               /* it was idle since: it may have left its poll, and counts anew */
    uint32_t spurious;               /* bits that one more report may have (rule 9) */
};

enum {
    PIECES_MAX = 3,
    MSGS_MAX = 3,
    PARTS_MAX = 5 /* messages or leases of one op */
};

struct request {
    struct pal_op op;
    bool out;
    bool cancelled;
    bool is_held_up; /* by a fault: nothing stands in its way (execute_tries.c) */
    bool is_open;    /* whether submit ends it, or a wait: its end is not traced */
    int sock, poll;
    uint64_t size;             /* bytes to be moved, at most */
    uint32_t sizes[PARTS_MAX]; /* of messages or leases to be sent */
    pal_sock accepted;
    int accepted_end;
    struct pal_addr address;
    struct pal_msg msgs[MSGS_MAX];
    struct pal_iov iov[MSGS_MAX][PIECES_MAX];
    struct pal_lease leases[PARTS_MAX];
    int lent[PARTS_MAX]; /* where they are in model.lent */
    pal_file file;       /* of a SENDFILE: its own */
    uint8_t *buffer;     /* BULK_SIZE bytes */
};

/* A lease that the program holds. */
struct lent {
    bool used, pinned; /* pinned: in an op that is out */
    struct pal_lease lease;
    int poll;
    int sock; /* through which it was lent, or NONE: reserved */
    uint64_t life;
    uint64_t key, position; /* of the bytes in it */
};

enum { SHOWN_MAX = 256 };

struct poll {
    pal_poll *handle;
    uint32_t events_max, lease_count, lease_size, share_max;
    uint32_t lent, reserved;
    bool woken;
    const struct pal_event *array; /* of the last wait: it may change in one way only (rule 1) */
    int shown_count;
    struct pal_event shown[SHOWN_MAX];
    uint64_t shown_life[SHOWN_MAX]; /* of the sock, or data of the child, whose event it is; else 0 */
};

struct signal {
    int number;
    int poll; /* NONE: not watched */
    uint64_t data;
    bool pending;
};

enum {
    CONTENTS_MAX = 2, /* files on the disk */
    FILES_MAX = 4,    /* handles of them */
    MAPS_MAX = 3,
    JOBS_MAX = 4,
    CHILDREN_MAX = 2,
    FILE_SIZE_MAX = 24 * 1024
};

/* A file on the disk, by its path, and the bytes that have to be in it. */
struct content {
    bool there;
    char path[64];
    uint8_t bytes[FILE_SIZE_MAX];
    size_t size;
    size_t mapped; /* up to here it may not be cut off */
    int jobs;      /* ops on it that are out: meanwhile it is left alone */
};

struct file {
    bool live;
    pal_file handle;
    int content;
    uint32_t flags;
    int jobs;
};

struct map {
    bool live;
    uint8_t *address;
    size_t size;
    int source;                   /* whose bytes it began with, and which may not be cut off; NONE: anonymous */
    int content;                  /* what writing changes, too; NONE: .bytes alone */
    uint8_t bytes[FILE_SIZE_MAX]; /* what has to be in it, where no file tells */
};

/* An op that a worker carries out. */
struct job {
    struct pal_op op;
    bool out, cancelled;
    int poll;
    int file; /* NONE: works on none */
    size_t size, offset;
    struct pal_addr address;
    uint8_t bytes[FILE_SIZE_MAX];
};

struct child {
    bool live;
    pal_proc handle;
    int poll; /* which watches it, or NONE */
    uint64_t data;
    bool ends; /* by itself, or because it was killed */
    int32_t result;
};

struct model {
    bool kinds[KINDS];       /* those that this machine has */
    bool is_in_stack[KINDS]; /* whose sockets a user-space stack has beside the kernel (rule 14) */
    bool has_native_leases;  /* of these: of a stream they may be any number, of any sizes */
    bool has_virtual_time;   /* and with it a network whose time passes in waits alone (rule 19) */
    bool has_workers, has_children;
    size_t page_size;
    char sendfile_path[64];
    struct content contents[CONTENTS_MAX];
    struct file files[FILES_MAX];
    struct map maps[MAPS_MAX];
    struct job jobs[JOBS_MAX];
    struct child children[CHILDREN_MAX];
    struct sock socks[SOCKS_MAX];
    struct end ends[ENDS_MAX];
    struct poll polls[POLLS_MAX];
    struct request requests[REQUESTS_MAX];
    struct lent lent[LENT_MAX];
    struct signal signals[SIGNALS_MAX];
    pal_sock stale; /* a handle that is closed; {0}: none yet */
    uint64_t keys;
    int lent_checked; /* which lease is looked at next */
};

/* ---- kinds ---- */

const char *kind_name(enum kind kind);
int kind_family(enum kind kind);
int kind_type(enum kind kind);
bool kind_is_stream(enum kind kind); /* of bytes */
bool kind_connects(enum kind kind);  /* TCP and the like: has listeners, an end of the stream, resets */
bool kind_is_tcp(enum kind kind);
bool kind_is_datagram(enum kind kind);
bool kind_is_ip(enum kind kind); /* a user-space stack may have it */

/* ---- bytes ---- */

/* A number that no other call of this program returned: keys, and data of watches and ops. */
uint64_t model_number(struct model *model);

void bytes_make(uint64_t key, uint64_t position, void *out, uint64_t size);
bool bytes_are(uint64_t key, uint64_t position, const void *bytes, uint64_t size);

/* Where in the bytes of its flow a record begins. */
uint64_t record_position(uint64_t number);

/* ---- ends and flows ---- */

int end_new(struct model *model, enum kind kind, enum stage stage);
void end_join(struct model *model, int a, int b); /* connected from now on */
void end_close(struct model *model, int end);     /* its last handle is gone */
void end_taint(struct model *model, int end);
struct end *end_of(struct model *model, const struct sock *sock);
struct flow *flow_out(struct model *model, const struct end *end); /* NULL: nobody is there */
uint64_t in_flight(const struct flow *flow);
void flow_send(struct flow *flow, uint64_t size); /* bytes, or one record */
void flow_take(struct flow *flow, uint64_t size); /* bytes */
void flow_take_record(struct flow *flow);
uint64_t end_unused(const struct model *model);

/* Bytes that may be sent to this flow without coming near a limit; of a flow of records, 0 when it has enough. */
uint64_t flow_room(const struct flow *flow, bool records);

/* The handle through which an end is reached, preferably an idle one; NONE. */
int sock_of_end(const struct model *model, int end);

/* ---- what waits see ---- */

enum level level_in(const struct end *end);
enum level level_out(const struct model *model, const struct end *end);

struct readiness {
    uint32_t required, allowed;
};

/* What a watch of that interest reports, starvation aside. */
struct readiness readiness_of(const struct model *model, const struct end *end, uint32_t interest);

enum level request_due(const struct model *model, const struct request *request);

/* ---- handles ---- */

bool op_writes(uint8_t kind);
bool sock_busy(const struct sock *sock);
bool sock_reads(const struct sock *sock);

/* Another handle of its end waits at another poll than this. */
bool sock_waits_elsewhere(const struct model *model, const struct sock *sock, int poll);
int handle_count(const struct model *model); /* of sockets, files and children, which share socks_max */
int sock_free(const struct model *model);    /* a place, or NONE */

/* Is an op that reads from (writes to) this end out, through whichever handle, cancelled or not? */
bool end_read_by_op(const struct model *model, int end);
bool end_written_by_op(const struct model *model, int end);

/* The data was taken by other means than the watch: one report too many is allowed (rule 9). */
void spurious_allowed(struct model *model, int end, uint32_t bits);

/* Its watch or op has ended: what follows for its share of leases. */
void sock_idle(struct sock *sock);

/* It is watched or submitted on this poll from now on. */
void sock_join(struct model *model, struct sock *sock, int poll);

/* What the arrays still show of a sock's life, or of a child's watch by its data, is struck out (rule 8). */
void strike_out(struct model *model, uint64_t life);

/* ---- leases ---- */

uint32_t leases_free(const struct poll *poll);
uint32_t leases_lendable(const struct model *model, const struct sock *sock); /* how many it could be lent now */
bool leases_feed(const struct model *model, const struct sock *sock);         /* rule 13: can it be fed? */
int lent_free(const struct model *model);
bool lent_sendable(const struct lent *lent);
void lent_return(struct model *model, int lent);

#endif
