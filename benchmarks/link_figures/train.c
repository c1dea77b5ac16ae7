// Sends numbered packets at a steady pace, or receives them, for link_figures/bench.py.
//
//   train send FD COUNT SIZE GAP_NS
//   train receive FD COUNT QUIET_MS KERNEL_STAMPS
//
// FD is a UDP socket; the sender's is connected. A packet begins with its number (4 bytes) and the time at which it was
// sent (8 bytes, CLOCK_REALTIME, ns). The receiver ends after COUNT packets, or when none has come for QUIET_MS, and
// then writes number, time sent and time received of each to its standard output.

#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define TOGETHER_NS 200000LL  // packets that are so close are sent together
#define CATCH_UP_NS 5000000LL  // of a pause that the machine's other work made, the most that is made up for

struct __attribute__((packed)) record {
    uint32_t number;
    int64_t sent, received;
};

static int64_t now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static int send_all(int fd, uint32_t count, size_t size, int64_t gap)
{
    char *data = calloc(1, size);
    int64_t due = now(CLOCK_MONOTONIC);
    if (!data)
        return 1;
    for (uint32_t number = 0; number < count; number++, due += gap) {
        int64_t late = now(CLOCK_MONOTONIC) - due;
        if (late < -TOGETHER_NS) {
            struct timespec until = {due / SECOND, due % SECOND};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
            late = now(CLOCK_MONOTONIC) - due;
        }
        if (late > CATCH_UP_NS)
            due += late - CATCH_UP_NS;
        int64_t sent = now(CLOCK_REALTIME);
        memcpy(data, &number, 4);
        memcpy(data + 4, &sent, 8);
        send(fd, data, size, 0);  // a full buffer is a drop, as any other
    }
    return 0;
}

static int receive_all(int fd, uint32_t count, int quiet_ms, int kernel_stamps)
{
    struct record *records = calloc(count + 1, sizeof *records);
    struct timeval quiet = {quiet_ms / 1000, quiet_ms % 1000 * 1000};
    uint32_t found = 0;
    char data[2048], control[256];
    if (!records || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof quiet) ||
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &kernel_stamps, sizeof kernel_stamps))
        return 1;
    while (found < count) {
        struct iovec part = {data, sizeof data};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                                 .msg_controllen = sizeof control};
        if (recvmsg(fd, &message, 0) < 12)
            break;
        struct record *one = &records[found++];
        one->received = now(CLOCK_REALTIME);
        memcpy(&one->number, data, 4);
        memcpy(&one->sent, data + 4, 8);
        for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each))
            if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SCM_TIMESTAMPNS) {
                struct timespec stamp;
                memcpy(&stamp, CMSG_DATA(each), sizeof stamp);
                one->received = stamp.tv_sec * SECOND + stamp.tv_nsec;
            }
    }
    return fwrite(records, sizeof *records, found, stdout) != found;
}

static void become_ordinary(int number)
{
    struct sched_param none = {0};
    (void)number;
    sched_setscheduler(0, SCHED_OTHER, &none);
}

int main(int argc, char **argv)
{
    struct sched_param priority = {1};
    if (argc != 6)
        return 2;
    signal(SIGXCPU, become_ordinary);
    int sends = !strcmp(argv[1], "send"), many = sysconf(_SC_NPROCESSORS_ONLN) > 1;
    // With one processor, what the kernel does with packets has to run, too: while a sender sleeps between two of them.
    // With the kernel's stamps a receiver need not hurry.
    if (sends ? many || atoll(argv[5]) > TOGETHER_NS : many && !atoi(argv[5]))
        sched_setscheduler(0, SCHED_FIFO, &priority);
    if (sends)
        return send_all(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoll(argv[5]));
    return receive_all(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
}
