/* settings.h: what the environment and pal_setup say to the simulator. */
#ifndef PAL__SIM_SETTINGS_H
#define PAL__SIM_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The text of the default world: pal_setup.args, else the file that PALIO_SIM names; NULL: none. What cannot be read
 * ends the program with the reason. */
const char *pal__s_settings(void);
void pal__s_set_args(const char *args); /* copied */

/* PALIO_SIM_SEED; false: not set, or no number. */
bool pal__s_env_seed(uint64_t *out);

/* PALIO_SIM_PCAP, or NULL. */
const char *pal__s_env_pcap(void);

/* How this program was called, as a shell would take it; what finds no room is cut off. */
void pal__s_command(char *out, size_t size);

/* The same of any arguments: size bytes of them, each with its NUL. */
void pal__s_quote_all(const char *line, size_t size, char *out, size_t room);

#endif
