/* fuzz/fuzz_control.c: the decoder of control data (backends/posix/control_decode.c, errqueue.c) under libFuzzer.
 *
 * The input is five bytes that say what the message wants, then the control data, byte for byte. Numbers that stand
 * where passed descriptors stand are replaced by those of descriptors made for the purpose, of every kind: each must be
 * adopted or closed in the end, and none twice. What is wanted, and no more, may be said to be there; raw data stays
 * within its room. Corpus: fuzz/corpus/control/. */
#include "../backends/common/slot.h"
#include "../backends/posix/message.h"

#include <errno.h>
#include <fcntl.h>
#include <pal/pal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPTIONS_SIZE = 5, CONTROL_SIZE_MAX = 512, MADE_MAX = CONTROL_SIZE_MAX / sizeof(int) };

static pal_sock ends[2];   /* a unix socket that may pass handles, and its other end */
static pal_sock datagram;  /* one that may not */
static int patterns[4];    /* a descriptor of each kind, to be duplicated */
static int made[MADE_MAX]; /* those in the control data */
static size_t made_count;

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void begin(void)
{
    int pipe_ends[2];

    check(pal_sock_pair(PAL_AF_UNIX, PAL_SOCK_STREAM, ends) == 0);
    check(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &datagram) == 0);
    check(pipe(pipe_ends) == 0);
    patterns[0] = pipe_ends[0];
    patterns[1] = socket(AF_INET, SOCK_STREAM, 0);
    patterns[2] = open("/dev/null", O_RDWR);
    patterns[3] = open("/proc/self/exe", O_RDONLY); /* a file cannot be adopted */
    for (int i = 0; i < 4; i++)
        check(patterns[i] >= 0);
}

/* Replaces the descriptors among size bytes of data. */
static void make_descriptors(uint8_t *data, size_t size)
{
    for (size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
        int fd;

        memcpy(&fd, data + at, sizeof(fd));
        fd = fcntl(patterns[(unsigned)fd % 4], F_DUPFD_CLOEXEC, 0);
        check(fd >= 0 && made_count < MADE_MAX);
        made[made_count++] = fd;
        memcpy(data + at, &fd, sizeof(fd));
    }
}

/* Every record that lies within the data, as cmsg(3) lays them out. */
static void find_descriptors(uint8_t *control, size_t size)
{
    made_count = 0;
    for (size_t at = 0; size - at >= sizeof(struct cmsghdr);) {
        struct cmsghdr header;

        memcpy(&header, control + at, sizeof(header));
        if (header.cmsg_len < sizeof(header) || header.cmsg_len > size - at)
            return;
        if (header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS)
            make_descriptors(control + at + CMSG_LEN(0), header.cmsg_len - CMSG_LEN(0));
        if (CMSG_ALIGN(header.cmsg_len) > size - at)
            return;
        at += CMSG_ALIGN(header.cmsg_len);
    }
}

static void check_descriptors(const struct pal_msg *msg)
{
    for (int i = 0; i < msg->socks_count; i++)
        check(pal_sock_close(msg->socks[i]) == 0);
    for (size_t i = 0; i < made_count; i++)
        check(fcntl(made[i], F_GETFD) < 0 && errno == EBADF);
}

static void decode(const uint8_t *options, uint8_t *control, size_t size)
{
    bool pass = options[0] & 1;
    pal_sock sock = options[0] & 2 ? datagram : ends[0];
    int32_t on = pass;
    pal_sock socks[PAL_PASS_MAX];
    size_t raw_room = options[4];
    uint8_t *raw = malloc(raw_room + 1); /* its own block, so that a write past the end is seen */
    struct msghdr from = {.msg_control = control, .msg_controllen = size};
    struct pal_msg msg;

    check(raw != NULL);
    pal_sock_set(ends[0], PAL_SO_PASS, &on, sizeof(on));
    memset(&msg, 0, sizeof(msg));
    msg.want = (uint16_t)(options[1] | options[2] << 8) & MESSAGE_WANTS;
    msg.socks = options[0] & 4 ? NULL : socks;
    msg.socks_max = options[3] % (PAL_PASS_MAX + 1);
    msg.raw = raw;
    msg.raw_size = (uint32_t)raw_room;
    pal__k_control_decode(slot_of(sock), &msg, &from);
    check((msg.have & ~msg.want) == 0);
    check(msg.raw_size <= raw_room);
    check(msg.socks_count <= msg.socks_max);
    check(msg.socks_count == 0 || (pass && msg.have & PAL_META_SOCKS));
    check(made_count == msg.socks_count || msg.flags & PAL_MSG_CTRUNC);
    check_descriptors(&msg);
    free(raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    uint8_t *control;

    if (!begun)
        begin();
    begun = true;
    if (size < OPTIONS_SIZE || size > OPTIONS_SIZE + CONTROL_SIZE_MAX)
        return 0;
    size -= OPTIONS_SIZE;
    control = malloc(size + 1); /* its own block, so that a read past the end is seen */
    check(control != NULL);
    memcpy(control, data + OPTIONS_SIZE, size);
    find_descriptors(control, size);
    decode(data, control, size);
    free(control);
    return 0;
}
