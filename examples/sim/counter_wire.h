/* examples/sim/counter_wire.h: what goes over a connection of the counter: numbers of eight bytes, the highest first.
 *
 * A request is a client, the number of the request and an amount; its answer is that number and the total. */
#ifndef EXAMPLES_SIM_COUNTER_WIRE_H
#define EXAMPLES_SIM_COUNTER_WIRE_H

#include <stdint.h>

enum { REQUEST_SIZE = 24, ANSWER_SIZE = 16 };

static inline void put_number(uint8_t *bytes, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
}

static inline uint64_t get_number(const uint8_t *bytes)
{
    uint64_t number = 0;

    for (int i = 0; i < 8; i++)
        number = number << 8 | bytes[i];
    return number;
}

#endif
