/* packet.h: a packet as a script speaks of it: its kind and a value for each field that is said.
 *
 * The same structure holds what a line injects, what a line expects, and what a frame turned out to be. Numbers of TCP
 * are absolute in it. */
#ifndef PALIO_TESTS_PACKETS_PACKET_H
#define PALIO_TESTS_PACKETS_PACKET_H

#include "addr.h"
#include <stdbool.h>
#include <stdint.h>

/* X(name in C, name in scripts or NULL, how it is written, may `<` compare it) */
#define PACKET_FIELDS(X)                                                                                               \
    X(ETH_SRC, "eth-src", VALUE_MAC, true)                                                                             \
    X(ETH_DST, "eth-dst", VALUE_MAC, true)                                                                             \
    X(ETH_TYPE, "eth-type", VALUE_NUMBER, true)                                                                        \
    X(VLAN, "vlan", VALUE_NUMBER, true)                                                                                \
    X(SRC, "src", VALUE_IP, true)                                                                                      \
    X(DST, "dst", VALUE_IP, true)                                                                                      \
    X(TTL, "ttl", VALUE_NUMBER, true)                                                                                  \
    X(TOS, "tos", VALUE_NUMBER, true)                                                                                  \
    X(ID, "id", VALUE_NUMBER, true)                                                                                    \
    X(DF, "df", VALUE_NUMBER, true)                                                                                    \
    X(LABEL, "label", VALUE_NUMBER, true)                                                                              \
    X(PROTO, "proto", VALUE_NUMBER, true)                                                                              \
    X(SPORT, "sport", VALUE_NUMBER, true)                                                                              \
    X(DPORT, "dport", VALUE_NUMBER, true)                                                                              \
    X(FLAGS, NULL, VALUE_NUMBER, true)                                                                                 \
    X(SEQ, NULL, VALUE_NUMBER, true)                                                                                   \
    X(ACK, NULL, VALUE_NUMBER, true)                                                                                   \
    X(WIN, "win", VALUE_NUMBER, true)                                                                                  \
    X(WND, NULL, VALUE_NUMBER, true)                                                                                   \
    X(URG, "urg", VALUE_NUMBER, true)                                                                                  \
    X(TYPE, NULL, VALUE_NUMBER, true)                                                                                  \
    X(CODE, NULL, VALUE_NUMBER, true)                                                                                  \
    X(ECHO_ID, NULL, VALUE_NUMBER, true)                                                                               \
    X(ECHO_SEQ, NULL, VALUE_NUMBER, true)                                                                              \
    X(MTU, "mtu", VALUE_NUMBER, true)                                                                                  \
    X(POINTER, "pointer", VALUE_NUMBER, true)                                                                          \
    X(OP, "op", VALUE_NUMBER, true)                                                                                    \
    X(HTYPE, "htype", VALUE_NUMBER, true)                                                                              \
    X(PTYPE, "ptype", VALUE_NUMBER, true)                                                                              \
    X(HLEN, "hlen", VALUE_NUMBER, true)                                                                                \
    X(PLEN, "plen", VALUE_NUMBER, true)                                                                                \
    X(SHA, "sha", VALUE_MAC, true)                                                                                     \
    X(THA, "tha", VALUE_MAC, true)                                                                                     \
    X(SPA, "spa", VALUE_IP, true)                                                                                      \
    X(TPA, "tpa", VALUE_IP, true)                                                                                      \
    X(TARGET, NULL, VALUE_IP, true)                                                                                    \
    X(NA_FLAGS, NULL, VALUE_NUMBER, true)                                                                              \
    X(LLA, NULL, VALUE_MAC, true)                                                                                      \
    X(LIFE, "life", VALUE_NUMBER, true)                                                                                \
    X(HOP_LIMIT, "hop-limit", VALUE_NUMBER, true)                                                                      \
    X(MAX, "max", VALUE_NUMBER, true)                                                                                  \
    X(GROUP, NULL, VALUE_IP, true)                                                                                     \
    X(CHECKSUM, "checksum", VALUE_CHECKSUM, false)                                                                     \
    X(IP_CHECKSUM, "ip-checksum", VALUE_CHECKSUM, false)                                                               \
    X(IP_VERSION, "ip-version", VALUE_NUMBER, false)                                                                   \
    X(IHL, "ihl", VALUE_NUMBER, false)                                                                                 \
    X(IP_LEN, "ip-len", VALUE_NUMBER, false)                                                                           \
    X(DOFF, "doff", VALUE_NUMBER, false)                                                                               \
    X(RESERVED, "reserved", VALUE_NUMBER, false)                                                                       \
    X(UDP_LEN, "udp-len", VALUE_NUMBER, false)                                                                         \
    X(CUT, "cut", VALUE_NUMBER, false)                                                                                 \
    X(PAD, "pad", VALUE_NUMBER, false)                                                                                 \
    X(NIC, NULL, VALUE_NUMBER, false) /* FRAME_CSUM_* */

enum field {
#define PACKET_FIELD_(name, text, how, compared) FIELD_##name,
    PACKET_FIELDS(PACKET_FIELD_)
#undef PACKET_FIELD_
        FIELDS
};

enum value_kind { VALUE_NUMBER, VALUE_MAC, VALUE_IP, VALUE_CHECKSUM };

enum packet_kind {
    PACKET_NONE,
    PACKET_TCP,
    PACKET_UDP,
    PACKET_ICMP,
    PACKET_ARP,
    PACKET_NS,
    PACKET_NA,
    PACKET_RS,
    PACKET_RA,
    PACKET_REPORT,
    PACKET_QUERY,
    PACKET_IGMP,
    PACKET_IP,
    PACKET_PIECE,
    PACKET_RAW
};

enum { CHECKSUM_BAD = 0x10000, FLAGS_DATA = 0x100, NO_LLA = 1 }; /* NO_LLA: a value of FIELD_LLA: no such option */

enum option_kind { OPT_MSS, OPT_WS, OPT_SACK_OK, OPT_TS, OPT_SACK, OPT_NOP, OPT_EOL, OPT_KIND, OPT_HEX };

struct option {
    enum option_kind kind;
    bool absent;            /* `no sack` */
    bool any, any_second;   /* `*` */
    uint32_t value, second; /* mss, ws, kind; ts: value and echo */
    uint32_t count;         /* sack blocks, bytes */
    uint32_t blocks[4][2];
    uint8_t bytes[40];
};

enum data_kind { DATA_UNSAID, DATA_ANY, DATA_PATTERN, DATA_BYTES };
enum { OPTIONS_MAX = 24, RECORDS_MAX = 64, SOURCES_MAX = 512, EXTS_MAX = 8, BYTES_MAX = 16, DATA_ROOM = 66000 };

struct record {
    uint8_t type;
    bool any_sources;
    struct ip group;
    uint32_t first, count; /* in sources */
};

struct ext {
    uint8_t type;
    uint32_t size, times;
    uint8_t bytes[264];
};

struct packet_view {
    enum packet_kind kind;
    int family;
    uint32_t link; /* 0: eth0 */
    uint64_t has, any;
    uint64_t value[FIELDS];
    struct ip ip[4]; /* SRC, DST, TARGET or TPA or GROUP, SPA */

    enum data_kind data;
    uint32_t data_size;
    bool data_offset_said;
    uint64_t data_offset;
    const uint8_t *bytes; /* DATA_BYTES; of a frame: where its payload is */

    struct option options[OPTIONS_MAX];
    uint32_t option_count;
    bool options_said, options_only;
    const uint8_t *option_bytes; /* of a frame */
    uint32_t option_size;

    struct record records[RECORDS_MAX];
    uint32_t record_count;
    bool more_records; /* others may be there as well */
    struct ip sources[SOURCES_MAX];
    uint32_t source_count;

    bool is_piece, more, more_said, last_said;
    uint32_t piece_from, piece_to, piece_id;
    bool piece_id_said;
    uint32_t pieces; /* `pieces N` */

    bool quotes; /* quote is compared, or goes in */
    const uint8_t *quote;
    uint32_t quote_size;
    bool quote_size_said;

    uint8_t ip_options[40];
    uint32_t ip_option_size;
    struct ext exts[EXTS_MAX];
    uint32_t ext_count;
    const uint8_t *trailer;
    uint32_t trailer_size;
    struct {
        uint32_t offset;
        uint8_t value;
    } patches[BYTES_MAX];
    uint32_t patch_count;
    bool is_malformed; /* does not count as sent in its flow */
    bool router_alert, no_alert;
};

static inline bool packet_has(const struct packet_view *view, enum field field)
{
    return (view->has >> field & 1) != 0;
}

static inline void packet_set(struct packet_view *view, enum field field, uint64_t value)
{
    view->has |= (uint64_t)1 << field;
    view->value[field] = value;
}

static inline uint64_t packet_get(const struct packet_view *view, enum field field, uint64_t fallback)
{
    return packet_has(view, field) ? view->value[field] : fallback;
}

enum { IP_SRC, IP_DST, IP_TARGET, IP_SPA };

/* Where the address of such a field is kept. */
static inline unsigned packet_ip_index(enum field field)
{
    return field == FIELD_SRC ? IP_SRC : field == FIELD_DST ? IP_DST : field == FIELD_SPA ? IP_SPA : IP_TARGET;
}

static inline void packet_set_ip(struct packet_view *view, enum field field, const struct ip *ip)
{
    view->has |= (uint64_t)1 << field;
    view->ip[packet_ip_index(field)] = *ip;
}

struct run;
struct words;
struct flow;
struct sent;
struct text;

/* Words to a packet; ours: the stack sends it. The rest of the words are its own. *flow: of TCP, else NULL. */
void spec_read(struct run *run, struct words *words, bool ours, struct packet_view *out, struct flow **flow);
/* What is left out of a TCP packet of ours, once it is known what was sent before it. */
void spec_tcp_default(const struct flow *flow, uint32_t next, struct packet_view *out);
void spec_tcp(struct run *run, struct words *words, bool ours, struct packet_view *out, struct flow **flow);
bool spec_more(struct run *run, struct words *words, const char *kind, bool ours, struct packet_view *out);
bool spec_field(struct run *run, struct words *words, bool ours, struct packet_view *out);
void spec_data(struct run *run, struct words *words, struct packet_view *out);
bool spec_from_to(struct run *run, struct words *words, bool with_ports, struct packet_view *out);
void spec_defaults(struct run *run, bool ours, struct packet_view *out);
bool spec_is_flags(const char *word);
bool spec_protocol_value(struct run *run, struct words *words, const char *name, struct packet_view *out);
struct icmp_kind {
    const char *name;
    int type4, type6; /* -1: there is none */
};
extern const struct icmp_kind icmp_kinds[];
extern const char *const record_names[];                              /* from 1 on */
const char *icmp_code_name(int family, uint64_t type, uint64_t code); /* NULL: by number */

/* A packet to a frame; its size. The IP packet alone for build_ip. */
uint32_t build_frame(struct run *run, const struct packet_view *view, uint8_t *out);
uint32_t build_ip(struct run *run, const struct packet_view *view, uint8_t *out);
uint32_t build_more(struct run *run, const struct packet_view *view, uint8_t *out, uint8_t *protocol);
uint32_t build_arp(const struct packet_view *view, uint8_t *out);
uint32_t build_options(struct run *run, const struct packet_view *view, uint8_t *out);

/* A frame to a packet. NULL, or what is wrong with it. whole: the transport of a packet put together. */
const char *decode(struct run *run, const uint8_t *frame, uint32_t size, uint32_t link, bool sent_by_us,
                   struct packet_view *out);
const char *decode_ip_payload(struct run *run, uint8_t protocol, const uint8_t *at, uint32_t size, bool sent_by_us,
                              struct packet_view *out);
const char *decode_more(uint8_t protocol, const uint8_t *at, uint32_t size, struct packet_view *out);
const char *decode_arp(const uint8_t *at, uint32_t size, struct packet_view *out);

void print_packet(struct run *run, const struct packet_view *view, bool ours, struct text *out);
void print_flags(uint64_t flags, struct text *out);

/* Adds to differences what of `expected` does not hold of `came`. */
void match(struct run *run, const struct packet_view *expected, const struct packet_view *came, const struct flow *flow,
           struct text *differences);
void statement_inject(struct run *run, struct words *words);
void statement_pretend(struct run *run, struct words *words);
void statement_expect(struct run *run, struct words *words, uint64_t earliest_ns, uint64_t latest_ns, bool timed);
const char *field_name(enum field field);

#endif
