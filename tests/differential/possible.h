/* possible.h: what a program may do with a handle now, without leading two backends apart, or breaking a rule that is
 * no refusal but its own affair. */
#ifndef PALIO_TESTS_DIFFERENTIAL_POSSIBLE_H
#define PALIO_TESTS_DIFFERENTIAL_POSSIBLE_H

#include "model.h"

typedef bool condition(const struct model *model, const struct sock *sock);

condition is_idle, is_watched, is_fresh, is_loose_udp, listens;
condition is_useful; /* neither refused nor reset */
condition can_read, can_receive_messages, can_try_to_receive, can_submit_receive, can_lease, can_drain;
condition can_write;      /* somebody is there, though perhaps no room */
condition can_write_much; /* there is room for the largest batch, or surely none at all */
condition can_try_to_send, can_send_messages, can_shut;
condition can_pass; /* its peer has received all, and nobody waits for more */
condition can_send_a_file;
condition can_fill;          /* until no more is taken */
condition can_fill_for_long; /* so that it stays full: TCP finds room again by itself */
condition can_listen, can_connect, can_submit_accept;
condition is_free_of_ops;  /* no cancelled op of it may still have taken something */
condition twin_read_by_op; /* an op reads its end through another handle */

const struct end *end_at(const struct model *model, const struct sock *sock);

/* Connected, and nothing may have been thrown away. */
bool sound(const struct end *end);

/* Handles that may be made: those of accept ops that are out are spoken for. */
int handles_left(const struct model *model);

/* A watch of the end that a wait in the middle of draining it may end or not. */
bool watched_fleetingly(const struct model *model, int end);

bool lent_is_sendable(const struct model *model);
uint32_t lent_places(const struct model *model);

#endif
