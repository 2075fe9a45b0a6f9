/* log.c: what has happened, for people: the transcript, failures, and a capture. */
#include "packets.h"

#include "nic_pcap.h"
#include <stdlib.h>
#include <string.h>

double seconds(uint64_t now_ns)
{
    return (double)(now_ns - base_ns) / 1e9;
}

void note(struct run *run, const char *format, ...)
{
    char *line = run->history[run->history_count++ % HISTORY_MAX];
    va_list arguments;
    int size = snprintf(line, sizeof(run->history[0]), "%11.6f  ", seconds(run->now_ns));

    va_start(arguments, format);
    vsnprintf(line + size, sizeof(run->history[0]) - (size_t)size, format, arguments);
    va_end(arguments);
    if (run->verbose)
        printf("# %s\n", line);
}

static void remember_place(struct run *run)
{
    run->failure_ns = run->now_ns;
    run->failure_line = run->statement == NULL ? 0 : run->statement->line;
    snprintf(run->failure_file, sizeof(run->failure_file), "%s",
             run->statement == NULL ? run->script->path : run->statement->file);
    snprintf(run->failure_statement, sizeof(run->failure_statement), "%s",
             run->statement == NULL ? "(end of the script)" : run->statement->text);
}

void fail(struct run *run, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(run->failure, sizeof(run->failure), format, arguments);
    va_end(arguments);
    remember_place(run);
    longjmp(run->escape, 1);
}

void complain(struct run *run, const char *format, ...)
{
    va_list arguments;

    if (run->complaint[0] != '\0')
        return;
    va_start(arguments, format);
    vsnprintf(run->complaint, sizeof(run->complaint), format, arguments);
    va_end(arguments);
}

void raise_complaint(struct run *run)
{
    if (run->complaint[0] != '\0')
        fail(run, "%s", run->complaint);
}

/* Prints text with a mark in front of each of its lines. */
static void print_lines(const char *text)
{
    bool at_start = true;

    for (; *text != '\0'; text++) {
        if (at_start)
            fputs("# ", stdout);
        putchar(*text);
        at_start = *text == '\n';
    }
    if (!at_start)
        putchar('\n');
}

void tell_failure(const struct run *run)
{
    uint32_t count = run->history_count < HISTORY_MAX ? run->history_count : HISTORY_MAX;

    printf("# %s:%d: at %.6f: %s\n", run->failure_file, run->failure_line, seconds(run->failure_ns),
           run->failure_statement);
    print_lines(run->failure);
    if (run->verbose || count == 0)
        return;
    printf("#   before:\n");
    for (uint32_t i = run->history_count - count; i < run->history_count; i++)
        printf("#   %s\n", run->history[i % HISTORY_MAX]);
}

/* ---- the capture: one file for all scripts of a call ---- */

static FILE *capture;
static struct pcap_sink sink;

static void write_capture(void *context, const void *bytes, size_t size)
{
    fwrite(bytes, 1, size, context);
}

bool pcap_open(const char *path)
{
    capture = fopen(path, "wb");
    sink = (struct pcap_sink){.write = write_capture, .context = capture};
    return capture != NULL;
}

bool pcap_close(void)
{
    bool good = capture == NULL || fclose(capture) == 0;

    capture = NULL;
    return good;
}

void pcap_time(struct port *port, uint64_t now_ns)
{
    if (port->pcap != NULL)
        pal__n_pcap_set_time(port->pcap, now_ns);
}

struct nic *pcap_wrap(struct port *port, const struct pal_allocator *allocator)
{
    struct pcap_config config = {.allocator = allocator, .sink = &sink};
    char name[64];

    if (capture == NULL)
        return wire_wrap(port);
    snprintf(name, sizeof(name), "%.40s v%d eth%u", port->run->script->name, port->run->family, port->index);
    config.name = name;
    config.offset_ns = 0 - base_ns;
    if (pal__n_pcap_create(&config, wire_wrap(port), &port->pcap) != 0)
        fail(port->run, "no memory for the capture");
    pcap_time(port, port->run->now_ns);
    return pal__n_pcap_nic(port->pcap);
}

void pcap_unwrap(struct port *port)
{
    if (port->pcap != NULL)
        pal__n_pcap_destroy(port->pcap);
    port->pcap = NULL;
}
