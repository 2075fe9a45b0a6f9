/* counters.h: one list of all that a stack counts: what came, what went, and every reason for which something was
 * dropped. Nothing is dropped without one (requirement tcp.misc.counters). */
#ifndef PAL__NETSTACK_COUNTERS_H
#define PAL__NETSTACK_COUNTERS_H

#include <stdint.h>

/* X(name, what is counted) */
#define NETSTACK_COUNTERS(X)                                                                                           \
    X(eth_in, "frames received")                                                                                       \
    X(eth_out, "frames given to a nic")                                                                                \
    X(eth_tx_full, "bursts that a nic did not take whole")                                                             \
    X(eth_drop_short, "frames shorter than their headers")                                                             \
    X(eth_drop_type, "frames of another protocol, 802.3 lengths among them")                                           \
    X(eth_drop_dst, "frames for another station")                                                                      \
    X(eth_drop_src, "frames whose source is a group, or ourselves")                                                    \
    X(eth_drop_full, "frames to send lost because too many wait for a nic")                                            \
    X(eth_drop_size, "frames to send larger than the interface's MTU, or too small to pad")                            \
    X(frame_none, "frames not made because the nic had none left")                                                     \
    X(arp_in, "ARP packets received")                                                                                  \
    X(arp_out, "ARP packets sent")                                                                                     \
    X(arp_drop_invalid, "ARP packets with wrong fields")                                                               \
    X(arp_drop_other, "ARP packets that ask for somebody else")                                                        \
    X(arp_conflict, "ARP packets from another station with our address")                                               \
    X(arp_locked, "ARP packets with another MAC too soon after the last")                                              \
    X(neigh_queue_full, "packets pushed out of a neighbour's queue by newer ones")                                     \
    X(neigh_failed, "neighbours that did not answer")                                                                  \
    X(neigh_drop_failed, "packets given up because their neighbour did not answer")                                    \
    X(neigh_table_full, "neighbours not made because the table is full")                                               \
    X(neigh_evicted, "neighbours that made room for others")                                                           \
    X(ip4_in, "IPv4 packets received")                                                                                 \
    X(ip4_out, "IPv4 packets sent")                                                                                    \
    X(ip4_drop_header, "IPv4: version, header length or total length wrong")                                           \
    X(ip4_drop_checksum, "IPv4: header checksum wrong")                                                                \
    X(ip4_drop_dst, "IPv4: not for us")                                                                                \
    X(ip4_drop_src, "IPv4: source that cannot be one")                                                                 \
    X(ip4_drop_options, "IPv4: malformed options")                                                                     \
    X(ip4_drop_source_route, "IPv4: source route")                                                                     \
    X(ip4_drop_protocol, "IPv4: unknown protocol")                                                                     \
    X(ip6_in, "IPv6 packets received")                                                                                 \
    X(ip6_out, "IPv6 packets sent")                                                                                    \
    X(ip6_drop_header, "IPv6: version or payload length wrong")                                                        \
    X(ip6_drop_dst, "IPv6: not for us")                                                                                \
    X(ip6_drop_src, "IPv6: source that cannot be one")                                                                 \
    X(ip6_drop_extension, "IPv6: extension headers malformed, in a wrong place or too many")                           \
    X(ip6_drop_option, "IPv6: option that asks to be discarded")                                                       \
    X(ip6_drop_routing, "IPv6: routing header with segments left")                                                     \
    X(ip6_drop_protocol, "IPv6: unknown next header")                                                                  \
    X(ip6_none, "IPv6: ended by no-next-header")                                                                       \
    X(ip6_drop_tentative, "IPv6: for an address that is still tentative")                                              \
    X(frag_in, "fragments received")                                                                                   \
    X(frag_done, "datagrams put together")                                                                             \
    X(frag_drop_invalid, "fragments with impossible lengths")                                                          \
    X(frag_drop_overlap, "datagrams discarded because fragments overlap")                                              \
    X(frag_duplicate, "fragments that were there already")                                                             \
    X(frag_drop_late, "fragments of a datagram that was discarded before")                                             \
    X(frag_drop_limit, "fragments or sets discarded for want of room")                                                 \
    X(frag_timeout, "sets given up after their time")                                                                  \
    X(frag_out, "fragments sent")                                                                                      \
    X(icmp_in, "ICMP messages received")                                                                               \
    X(icmp_out, "ICMP messages sent")                                                                                  \
    X(icmp_drop_checksum, "ICMP: checksum wrong")                                                                      \
    X(icmp_drop_short, "ICMP: shorter than its header")                                                                \
    X(icmp_drop_type, "ICMP: type that means nothing here")                                                            \
    X(icmp_drop_broadcast, "ICMP: echo to a group")                                                                    \
    X(icmp_drop_quote, "ICMP: error whose quote matches nothing of ours")                                              \
    X(icmp_limited, "ICMP errors not sent because of the rate limit")                                                  \
    X(icmp6_in, "ICMPv6 messages received")                                                                            \
    X(icmp6_out, "ICMPv6 messages sent")                                                                               \
    X(icmp6_drop_checksum, "ICMPv6: checksum wrong")                                                                   \
    X(icmp6_drop_short, "ICMPv6: shorter than its header")                                                             \
    X(icmp6_drop_type, "ICMPv6: type that means nothing here")                                                         \
    X(icmp6_drop_group, "ICMPv6: echo from nowhere, or to one address in a frame to many")                             \
    X(icmp6_drop_quote, "ICMPv6: error whose quote matches nothing of ours")                                           \
    X(icmp6_drop_mtu, "ICMPv6: packet too big that says less than 1280")                                               \
    X(nd_drop_invalid, "ND: hop limit, code, length or options wrong, or in fragments")                                \
    X(nd_duplicate, "ND: our tentative address is somebody's")                                                         \
    X(nd_ignored, "ND: router advertisements, redirects and solicitations that are valid and not followed")            \
    X(nd_drop_other, "ND: solicitations for somebody else")                                                            \
    X(nd_conflict, "ND: advertisements by another station of an address that we use")                                  \
    X(igmp_in, "IGMP messages received")                                                                               \
    X(igmp_out, "IGMP messages sent")                                                                                  \
    X(igmp_drop_invalid, "IGMP: malformed")                                                                            \
    X(mld_in, "MLD messages received")                                                                                 \
    X(mld_out, "MLD messages sent")                                                                                    \
    X(mld_drop_invalid, "MLD: malformed")                                                                              \
    X(udp_in, "UDP datagrams received")                                                                                \
    X(udp_out, "UDP datagrams sent")                                                                                   \
    X(udp_drop_length, "UDP: length wrong")                                                                            \
    X(udp_drop_checksum, "UDP: checksum wrong, or missing over IPv6")                                                  \
    X(udp_drop_port, "UDP: nobody at that port")                                                                       \
    X(udp_drop_full, "UDP: the socket's buffer is full")                                                               \
    X(udp_drop_filter, "UDP: refused by the socket's source filter")                                                   \
    X(udp_notice_full, "UDP: errors that were told to nobody because the error queue is full")                         \
    X(tcp_in, "TCP segments received")                                                                                 \
    X(tcp_out, "TCP segments sent")                                                                                    \
    X(tcp_tso, "TCP: frames of several segments, which the port cuts")                                                 \
    X(tcp_drop_header, "TCP: data offset wrong")                                                                       \
    X(tcp_drop_checksum, "TCP: checksum wrong")                                                                        \
    X(tcp_drop_option, "TCP: malformed options")                                                                       \
    X(tcp_drop_address, "TCP: to or from an address that no connection can have")                                      \
    X(tcp_drop_port, "TCP: nobody at that port")                                                                       \
    X(tcp_drop_state, "TCP: segment that makes no sense in this state")                                                \
    X(tcp_drop_no_ack, "TCP: no ACK where one must be")                                                                \
    X(tcp_drop_window, "TCP: outside the window")                                                                      \
    X(tcp_drop_paws, "TCP: older than the peer's latest timestamp")                                                    \
    X(tcp_drop_ack_range, "TCP: acknowledges what was never sent, or long ago")                                        \
    X(tcp_drop_after_close, "TCP: data that nobody reads any more")                                                    \
    X(tcp_drop_memory, "TCP: no room to keep it")                                                                      \
    X(tcp_ooo_queued, "TCP: segments kept behind a hole")                                                              \
    X(tcp_ooo_dropped, "TCP: segments behind a hole given up for want of room")                                        \
    X(tcp_rst_out, "TCP: resets sent")                                                                                 \
    X(tcp_rst_in, "TCP: resets obeyed")                                                                                \
    X(tcp_rst_ignored, "TCP: resets not obeyed")                                                                       \
    X(tcp_challenge, "TCP: challenge ACKs sent")                                                                       \
    X(tcp_challenge_limited, "TCP: challenge ACKs and repeated ACKs not sent because of the limit")                    \
    X(tcp_opened_active, "TCP: connections opened by us")                                                              \
    X(tcp_opened_passive, "TCP: connections opened by peers")                                                          \
    X(tcp_open_failed, "TCP: connections that did not come about")                                                     \
    X(tcp_syn_dropped, "TCP: SYNs not answered for want of room")                                                      \
    X(tcp_embryo_recycled, "TCP: half-open connections that made room for others")                                     \
    X(tcp_embryo_timeout, "TCP: half-open connections given up")                                                       \
    X(tcp_accept_full, "TCP: handshakes left unfinished because the accept queue is full")                             \
    X(tcp_cookie_sent, "TCP: SYN cookies sent")                                                                        \
    X(tcp_cookie_good, "TCP: connections made from a cookie")                                                          \
    X(tcp_cookie_bad, "TCP: ACKs that look like a cookie and are none")                                                \
    X(tcp_timewait_recycled, "TCP: TIME-WAIT records that made room for others")                                       \
    X(tcp_timewait_reused, "TCP: TIME-WAIT records replaced by a newer SYN")                                           \
    X(tcp_retransmits, "TCP: segments sent again")                                                                     \
    X(tcp_rto, "TCP: retransmission timeouts")                                                                         \
    X(tcp_tlp, "TCP: tail loss probes")                                                                                \
    X(tcp_recoveries, "TCP: fast recoveries begun")                                                                    \
    X(tcp_probes, "TCP: window probes")                                                                                \
    X(tcp_keepalives, "TCP: keepalive probes")                                                                         \
    X(tcp_timeouts, "TCP: connections given up")                                                                       \
    X(tcp_pmtu_reduced, "TCP: segment size cut by path MTU")                                                           \
    X(tcp_reneged, "TCP: peers that took back what they had acknowledged selectively")                                 \
    X(tcp_sack_invalid, "TCP: SACK blocks ignored")                                                                    \
    X(tcp_send_failed, "TCP: segments not sent for want of a frame or of room at the port; sent later")

enum netstack_counter {
#define NETSTACK_COUNTER_(name, text) COUNTER_##name,
    NETSTACK_COUNTERS(NETSTACK_COUNTER_)
#undef NETSTACK_COUNTER_
        COUNTERS
};

/* "tcp_drop_paws", or NULL past the end. */
const char *pal__n_counter_name(int counter);

#endif
