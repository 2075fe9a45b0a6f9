/* trace.h: what has happened in a simulated world, as one number that two runs are compared by.
 *
 * Each note goes into a hash, field by field, so that it is the same on every CPU; with PALIO_SIM_TRACE=FILE it is a
 * line of text as well, so that the first difference between two runs is found by diff(1). Pointers and what the
 * program keeps for itself are never noted. One world, one thread at a time; nothing allocates but opening the file. */
#ifndef PAL__SIM_TRACE_H
#define PAL__SIM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trace_kind {
    TRACE_TIME,   /* time has moved to a */
    TRACE_RUN,    /* strand a runs */
    TRACE_EVENTS, /* poll a got b events */
    TRACE_EVENT,  /* kind and readiness a, result b */
    TRACE_SENT,   /* host a sent a frame; b: its digest */
    TRACE_CAME,   /* host a was handed a frame; b: its digest */
    TRACE_FAULT,  /* a: which (enum trace_fault, or a number from TRACE_FAULTS on), b: whom */
    TRACE_ACTION, /* a: which key of pal_ctl, b: whom */
    TRACE_KINDS
};

/* What the wire does to a frame; whom: the host that it was for. Others number theirs from TRACE_FAULTS on. */
enum trace_fault {
    TRACE_FRAME_LOST,
    TRACE_FRAME_CORRUPTED,
    TRACE_FRAME_DUPLICATED,
    TRACE_FRAME_REORDERED,
    TRACE_FRAME_CUT_OFF,  /* there is a cut between the two hosts */
    TRACE_FRAME_NO_ROOM,  /* lost: the receiver has no frame left, or the frame is too large for any */
    TRACE_FRAME_NO_QUEUE, /* lost: too much waits for the cable already */
    TRACE_FRAME_RESET,    /* lost: the receiver was reset */
    TRACE_FAULTS
};

/* Begins anew, at time 0; the seed is part of the hash. Opens the file of the environment, once in a process, and
 * appends to it; each line is written at once. What cannot be opened is told on stderr. */
void pal__s_trace_begin(uint64_t seed);

/* Notes what has happened now, which is what the last TRACE_TIME said. A few multiplications. */
void pal__s_trace(enum trace_kind kind, uint64_t a, uint64_t b);

/* Stands for bytes in a note. Not for what must withstand an attacker. Some six cycles for eight bytes. */
uint64_t pal__s_trace_digest(const void *bytes, size_t size);

/* The world outside had a part in what happens. Until the next begin; not in the hash. */
void pal__s_trace_taint(void);

/* All notes so far, in their order; how many they were. */
uint64_t pal__s_trace_hash(void);
uint64_t pal__s_trace_count(void);
bool pal__s_trace_tainted(void);

#endif
