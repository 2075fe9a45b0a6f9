/* packets.h: what the files of the script runner share. The language is described in docs/packet-scripts.md.
 *
 *   main.c    arguments, TAP           script.c  reading a script into statements, its header
 *   run.c     statements, time         words.c   words, numbers, texts
 *   world.c   a stack and its ports    who.c     addresses and their names
 *   turn.c    turns, what was sent     port.c    a nic that records and injects
 *   log.c     transcript, failures     flow.c    TCP flows and their numbers
 *   spec.c, spec_tcp.c, spec_more.c    words to packets
 *   build.c, build_more.c              packets to frames
 *   decode.c, decode_more.c            frames to packets, with everything that must hold of a frame
 *   print.c   packets to text          match.c   expected against sent
 *   exchange.c  the statements > and <
 *   calls.c, call_udp.c, call_option.c, inspect.c   what the program does and looks at
 *
 * Whatever goes wrong in a script ends it by fail(), which does not return. */
#ifndef PALIO_TESTS_PACKETS_PACKETS_H
#define PALIO_TESTS_PACKETS_PACKETS_H

#include "netstack.h"
#include "packet.h"
#include "sock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

enum {
    WORDS_MAX = 512,
    WORDS_ROOM = 16384,
    NAME_ROOM = 32,
    TEXT_ROOM = 4096,
    FRAME_ROOM = 70000,
    HISTORY_MAX = 15,
    NESTING_MAX = 24,
    TOLERANCE_NS = 20000
};

/* ---- script.c ---- */

struct statement {
    struct statement *next, *body;
    char *text;
    const char *file;
    char *file_owned; /* the first of a file keeps its name */
    int line;
};

struct script {
    char path[512];
    char name[512]; /* tcp/state/3whs_active */
    struct statement *header, *first;
    bool families[2]; /* v4, v6 */
    char error[512];  /* not empty: it could not be read */
};

bool script_read(struct script *script, const char *path);
struct statement *script_include(const char *path, char *error, size_t room);
struct statement *script_parse(const char *text, const char *file, char *error, size_t room);
void script_free(struct script *script);
void statements_free(struct statement *first);

/* ---- words.c ---- */

struct words {
    char *at[WORDS_MAX];
    int count, next;
    char room[WORDS_ROOM];
};

struct run;

/* Substitutes variables and splits. */
void words_split(struct run *run, struct words *words, const char *text);
const char *words_peek(const struct words *words); /* "" at the end */
const char *words_take(struct run *run, struct words *words, const char *what);
bool words_accept(struct words *words, const char *text);
bool words_end(const struct words *words);
void words_must_end(struct run *run, const struct words *words);

/* Numbers and times of an expression; false: it is none. */
bool number_of(const char *text, int64_t *out);
int64_t words_number(struct run *run, struct words *words, const char *what);
int64_t number_must(struct run *run, const char *text, const char *what);
bool is_number(const char *text);
/* A:B at the colon that is outside of parentheses. */
bool range_of(struct run *run, const char *text, int64_t *from, int64_t *to);
size_t hex_of(struct run *run, const char *text, uint8_t *out, size_t room);
bool starts(const char *text, const char *prefix);

/* Appends to a text in a room of TEXT_ROOM. */
struct text {
    size_t size;
    char at[TEXT_ROOM];
};
void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- who.c ---- */
bool address_of(struct run *run, const char *text, struct ip *out);
struct ip address_must(struct run *run, const char *text);
bool mac_of(const char *text, uint64_t *out);
struct ip host_of(int family, int link, unsigned number); /* link 0: eth0, 1: eth1 */
uint64_t mac_of_ip(struct run *run, int link, const struct ip *ip, bool *known);
const char *name_of_ip(const struct ip *ip); /* static room, four at once */
const char *name_of_mac(uint64_t mac);       /* the same */
void mac_put(uint8_t *at, uint64_t mac);
uint64_t mac_get(const uint8_t *at);
/* ADDRESS:PORT; port -1: `*`. scope: of %eth0. */
struct endpoint {
    struct ip ip;
    bool any_ip;
    int64_t port;
    uint32_t scope;
};
struct endpoint endpoint_must(struct run *run, const char *text);
void endpoint_to_pal(int family, const struct endpoint *endpoint, struct pal_addr *out);
/* address/prefix. */
struct ip prefix_must(struct run *run, const char *text, unsigned *bits);
struct ip solicited_node(const struct ip *ip);

/* ---- port.c ---- */

struct nic_pcap;
struct port_frame;

struct port {
    struct nic nic; /* first */
    struct run *run;
    uint32_t index; /* 0: eth0 */
    uint32_t ifindex;
    struct nic_caps caps;
    struct frame *rx_first, *rx_last;
    struct port_frame *frames; /* all that are alive */
    uint32_t alive;            /* frames that somebody holds */
    uint32_t pool_used;        /* of those, from alloc */
    uint32_t pool_max;
    uint32_t ring;   /* frames a turn; UINT32_MAX: all */
    uint32_t budget; /* left of it */
    uint32_t filter_count;
    uint64_t filters[64];
    struct nic_pcap *pcap; /* in front of it; NULL */
};

void port_create(struct port *port, struct run *run, uint32_t index, const struct nic_caps *caps);
void port_destroy(struct port *port); /* gives back what was injected and never taken */
void port_abandon(struct port *port); /* frees all frames, whoever holds them */
void port_inject(struct port *port, const uint8_t *bytes, uint32_t size, uint16_t flags);

/* ---- wire.c, or tests/dpdk/wire_dpdk.c: what lies between the stack and the ports of all scripts ---- */
bool wire_begin(void); /* false: it cannot be had, as it has said */
void wire_end(void);
struct nic *wire_wrap(struct port *port); /* what the stack is given in place of the port's nic */
void wire_unwrap(struct port *port);      /* nothing may be left on it */

/* ---- flow.c ---- */

enum { RANGES_MAX = 64, FLOWS_MAX = 512 };

/* What one side of a flow has said, in its own numbers. */
struct side {
    bool known; /* isn is */
    bool begun; /* it has sent something */
    uint32_t isn;
    uint32_t next;  /* behind all it has sent */
    uint32_t solid; /* behind all without a hole */
    uint32_t range_count;
    uint32_t ranges[RANGES_MAX][2]; /* behind holes */
    bool has_scale, has_ts;
    uint8_t scale;
    bool ts_known;
    uint32_t ts_first, ts_last;
};

struct flow {
    char name[NAME_ROOM];
    int family;
    struct endpoint local, remote;
    struct side ours, theirs;
    uint32_t win; /* of the peer: as last said */
    bool edge_known;
    uint32_t edge; /* the right edge that the stack has told of */
};

struct flow *flow_find(struct run *run, const char *name);
struct flow *flow_make(struct run *run, const char *name, int family);
/* The flow of a TCP packet: exact endpoints, or one whose port is still open, which is then set. */
struct flow *flow_of(struct run *run, const struct packet_view *view);
struct flow *flow_current(struct run *run, int family);
void flow_record(struct run *run, struct flow *flow, const struct packet_view *view, uint32_t payload, bool ours);
void statement_flow(struct run *run, struct words *words);
void statement_use(struct run *run, struct words *words);
void statement_next(struct run *run, struct words *words);
bool flow_uses_ts(const struct flow *flow);
unsigned flow_scale(const struct flow *flow, bool ours);

/* ---- turn.c ---- */

/* A frame that the stack has sent. */
struct sent {
    struct sent *next;
    struct port *port;
    struct flow *flow; /* of TCP; NULL */
    uint64_t time_ns;
    uint32_t flow_next; /* what the flow's ours.next was before it */
    uint32_t size;
    uint8_t bytes[];
};

void take_sent(struct run *run, struct port *port, const uint8_t *bytes, uint32_t size);
void turn(struct run *run); /* until there is nothing more to do now */
void after_event(struct run *run);
/* Lets time pass to `until_ns`; stop: returns at the first frame that is not ignored. */
void advance(struct run *run, uint64_t until_ns, bool stop);
void nothing_unexpected(struct run *run);
struct sent *sent_first(struct run *run);
void sent_pop(struct run *run);

/* ---- log.c ---- */
void fail(struct run *run, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
/* Remembers the failure until it is safe to leave. */
void complain(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
void raise_complaint(struct run *run);
void note(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tell_failure(const struct run *run);
/* A capture of everything that passes, if one was asked for: the nic that the stack is to be given. */
bool pcap_open(const char *path);
bool pcap_close(void); /* false: not all of it could be written */
struct nic *pcap_wrap(struct port *port, const struct pal_allocator *allocator);
void pcap_unwrap(struct port *port);
void pcap_time(struct port *port, uint64_t now_ns);
double seconds(uint64_t now_ns);

/* ---- world.c ---- */
void world_create(struct run *run);
void world_end(struct run *run);     /* in order: leaks are a failure */
void world_abandon(struct run *run); /* after a failure */
extern const uint64_t base_ns;

/* ---- run.c ---- */

struct variable {
    char name[NAME_ROOM];
    char text[128];
};

struct macro {
    char name[NAME_ROOM];
    char arguments[8][NAME_ROOM];
    int argument_count;
    struct statement *body;
};

enum { SOCKS_MAX = 4096, VARIABLES_MAX = 64, MACROS_MAX = 64, LENT_MAX = 64, INCLUDES_MAX = 16 };

struct named_sock {
    char name[NAME_ROOM];
    struct sock *sock;
    int family;             /* 4, 6 */
    uint64_t written, read; /* offsets in the pattern */
    struct frame *lent[LENT_MAX];
    uint32_t lent_count;
};

struct block { /* of the stack's allocator */
    struct block *next, *previous;
    size_t size;
    void *memory; /* as malloc gave it */
};

enum class { CLASS_ARP = 1, CLASS_ND = 2, CLASS_IGMP = 4, CLASS_MLD = 8, CLASS_ANNOUNCE = 16, CLASS_RS = 32 };

struct kept {
    struct kept *next;
    uint8_t bytes[];
};

struct run {
    struct script *script;
    const struct statement *statement;
    int family, as; /* 4, 6; of the run, of the present statement */
    bool verbose;
    jmp_buf escape;

    /* The world. */
    struct netstack *stack;
    struct netstack_config config;
    struct pal_allocator allocator;
    struct block blocks;
    size_t block_bytes;
    struct port ports[2];
    struct nic_caps caps;
    uint32_t ring, frames_max, port_count;
    bool no_neighbours, bare, gateway;
    uint64_t now_ns;
    bool in_turn, stuck;
    uint32_t ignored; /* CLASS_* */
    struct sent *sent_first, *sent_last;
    struct kept *kept;
    uint8_t newest_sent[FRAME_ROOM], newest_injected[FRAME_ROOM];
    uint32_t newest_sent_size, newest_injected_size;
    uint64_t counters[COUNTERS]; /* as last looked at */

    /* Names. */
    struct named_sock *socks;
    uint32_t sock_count;
    struct flow *flows;
    uint32_t flow_count;
    struct flow *flow;
    struct variable variables[VARIABLES_MAX];
    uint32_t variable_count;
    struct macro macros[MACROS_MAX];
    uint32_t macro_count;
    struct statement *includes[INCLUDES_MAX];
    uint32_t include_count;
    struct statement *openings[1]; /* of `established` */
    uint32_t opening_count;
    struct words *words; /* NESTING_MAX */
    int depth;

    /* What has happened. */
    char history[HISTORY_MAX][512];
    uint32_t history_count;
    char complaint[TEXT_ROOM], failure[TEXT_ROOM * 2];
    int failure_line;
    char failure_file[512];
    uint64_t failure_ns;
    char failure_statement[1024];
};

/* Memory until the next frame of the script is injected or expected. */
uint8_t *keep(struct run *run, size_t size);
void keep_nothing(struct run *run);

bool run_script(struct run *run);
void run_words(struct run *run, struct words *words, const struct statement *statement);
void set_variable(struct run *run, const char *name, const char *text);
void choose_classes(struct run *run, struct words *words, bool ignore);
const char *variable(const struct run *run, const char *name, size_t size);

/* ---- calls ---- */
typedef void statement_function(struct run *run, struct words *words);
struct command {
    const char *name;
    statement_function *function;
    bool is_event; /* a turn follows */
};
extern const struct command call_commands[], udp_commands[], option_commands[], inspect_commands[];

struct named_sock *sock_named(struct run *run, struct words *words);
struct named_sock *sock_new(struct run *run, const char *name, struct sock *sock, int family);
void assign_call(struct run *run, const char *name, struct words *words); /* NAME = socket ..., NAME = accept ... */
/* What stands behind `->`, or fallback; compares. Returns true if it is a success. */
bool check_result(struct run *run, struct words *words, int64_t result, int64_t fallback);
bool has_result(const struct words *words);
uint8_t pattern(uint64_t offset);
void pattern_fill(uint8_t *at, uint64_t offset, size_t size);
bool literal_of(struct run *run, const char *word, uint8_t *out, size_t room, size_t *size);
uint32_t ready_bit(struct run *run, const char *name);
int64_t result_of(struct run *run, const char *text);
void must_be_address(struct run *run, int family, const char *text, const struct pal_addr *is, const char *what);
void listen_to_reasons(struct run *run); /* of refused calls, in the transcript; NULL: no more */

#endif
