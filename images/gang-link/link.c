/*
 * The link of a gang: the interface through which the ranks of one task reach each other.
 *
 *     gang-link ADDRESS MTU
 *
 * It runs in a container that holds the job's network namespace, with CAP_NET_ADMIN and nothing else.
 * It makes `gang0` (a TUN device) with ADDRESS/24, gives its capabilities away, connects to the Unix
 * socket at SOCKET_PATH, where the node's daemon listens, and copies whole IPv4 packets between the two.
 * On the socket each packet follows two bytes of its length (unsigned, big-endian).
 *
 * What may pass is decided by the daemon (marketplace/gang_packets.py), not here. A daemon that restarts
 * finds the interface as it was: the socket is connected again, and packets wait in the device's queue,
 * which drops what is too much.
 *
 * Exit: 0 on SIGTERM; 1 when it cannot set up or the device breaks, with one line on stderr; 2 on bad arguments.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define DEVICE "gang0"
#define SOCKET_PATH "/gang/link.sock"
#define NETMASK "255.255.255.0"
#define MTU_MIN 576
#define MTU_MAX 65000
#define HEADER_BYTES 2
/* Packets that wait in the device while the daemon reads nothing; the kernel drops the rest. */
#define QUEUE_PACKETS 256
#define RECONNECT_MS 100
/* Many packets in one system call; a packet at its longest always fits into either. */
#define BUFFER_BYTES (4 * (HEADER_BYTES + MTU_MAX))

struct buffer {
    uint8_t bytes[BUFFER_BYTES];
    size_t begin;
    size_t end;
};

/* Static, so that the program's memory does not grow. */
static struct buffer to_daemon;
static struct buffer to_device;

static void fail(const char *what) {
    fprintf(stderr, "gang-link: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void stop(int signal) {
    (void)signal;
    _exit(0);
}

/* By netlink: the ioctl wants the capability of the machine's root, which no container in a user namespace has. */
static void set_queue(unsigned index) {
    struct {
        struct nlmsghdr head;
        struct ifinfomsg link;
        struct rtattr attribute;
        uint32_t packets;
    } request = {
        .head = {sizeof request, RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 0, 0},
        .link = {.ifi_index = (int)index},
        .attribute = {RTA_LENGTH(sizeof(uint32_t)), IFLA_TXQLEN},
        .packets = QUEUE_PACKETS,
    };
    struct {
        struct nlmsghdr head;
        struct nlmsgerr outcome;
    } answer;
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (netlink < 0) fail("netlink");
    if (send(netlink, &request, sizeof request, 0) < 0) fail("cannot ask for the queue's length");
    if (recv(netlink, &answer, sizeof answer, 0) < (ssize_t)sizeof answer || answer.head.nlmsg_type != NLMSG_ERROR)
        fail("no answer about the queue's length");
    if ((errno = -answer.outcome.error) != 0) fail("cannot set the queue's length");
    close(netlink);
}

/* An interface with an address, up. Needs CAP_NET_ADMIN in the namespace. */
static int open_device(struct in_addr address, int mtu) {
    int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (device < 0) fail("/dev/net/tun");
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    strcpy(request.ifr_name, DEVICE);
    if (ioctl(device, TUNSETIFF, &request) < 0) fail("cannot make " DEVICE);

    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0) fail("socket");
    struct sockaddr_in *wanted = (struct sockaddr_in *)&request.ifr_addr;

    memset(&request.ifr_ifru, 0, sizeof request.ifr_ifru);
    request.ifr_mtu = mtu;
    if (ioctl(control, SIOCSIFMTU, &request) < 0) fail("cannot set the MTU");
    set_queue(if_nametoindex(DEVICE));

    memset(&request.ifr_ifru, 0, sizeof request.ifr_ifru);
    wanted->sin_family = AF_INET;
    wanted->sin_addr = address;
    if (ioctl(control, SIOCSIFADDR, &request) < 0) fail("cannot set the address");
    wanted->sin_addr.s_addr = inet_addr(NETMASK);
    if (ioctl(control, SIOCSIFNETMASK, &request) < 0) fail("cannot set the netmask");

    memset(&request.ifr_ifru, 0, sizeof request.ifr_ifru);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(control, SIOCSIFFLAGS, &request) < 0) fail("cannot bring " DEVICE " up");
    close(control);
    return device;
}

/* The device is open; nothing after this needs a privilege. */
static void give_up_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) fail("no_new_privs");
    if (syscall(SYS_capset, &header, none) < 0) fail("capset");
}

/* The daemon may not be there yet, or not any more. */
static int connect_to_daemon(void) {
    struct sockaddr_un where = {.sun_family = AF_UNIX, .sun_path = SOCKET_PATH};
    for (;;) {
        int daemon = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (daemon < 0) fail("socket");
        if (connect(daemon, (struct sockaddr *)&where, sizeof where) == 0) {
            if (fcntl(daemon, F_SETFL, O_NONBLOCK) < 0) fail("fcntl");
            return daemon;
        }
        close(daemon);
        poll(NULL, 0, RECONNECT_MS);
    }
}

static int would_block(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

/* Take packets from the device while there are some and there is room. */
static void read_device(int device) {
    struct buffer *buffer = &to_daemon;
    while (sizeof buffer->bytes - buffer->end >= HEADER_BYTES + MTU_MAX) {
        uint8_t *header = buffer->bytes + buffer->end;
        ssize_t length = read(device, header + HEADER_BYTES, MTU_MAX);
        if (length < 0) {
            if (would_block()) return;
            fail("cannot read " DEVICE);
        }
        if (length == 0 || header[HEADER_BYTES] >> 4 != 4) continue; /* the kernel's own IPv6 */
        header[0] = (uint8_t)(length >> 8);
        header[1] = (uint8_t)length;
        buffer->end += HEADER_BYTES + (size_t)length;
    }
}

/* Whether the daemon is still there. */
static int write_daemon(int daemon) {
    struct buffer *buffer = &to_daemon;
    ssize_t sent = send(daemon, buffer->bytes + buffer->begin, buffer->end - buffer->begin, MSG_NOSIGNAL);
    if (sent < 0) return would_block();
    buffer->begin += (size_t)sent;
    if (buffer->begin == buffer->end) buffer->begin = buffer->end = 0;
    return 1;
}

/* Whether the daemon is still there, and speaks as it should. */
static int read_daemon(int daemon, int device) {
    struct buffer *buffer = &to_device;
    ssize_t got = recv(daemon, buffer->bytes + buffer->end, sizeof buffer->bytes - buffer->end, 0);
    if (got < 0) return would_block();
    if (got == 0) return 0;
    buffer->end += (size_t)got;
    while (buffer->end - buffer->begin >= HEADER_BYTES) {
        uint8_t *header = buffer->bytes + buffer->begin;
        size_t length = (size_t)header[0] << 8 | header[1];
        if (length == 0 || length > MTU_MAX) return 0;
        if (buffer->end - buffer->begin < HEADER_BYTES + length) break;
        /* A packet that the kernel does not take (EINVAL, or no room) is lost, as on any network. */
        if (write(device, header + HEADER_BYTES, length) < 0 && errno == EBADFD) fail("cannot write " DEVICE);
        buffer->begin += HEADER_BYTES + length;
    }
    memmove(buffer->bytes, buffer->bytes + buffer->begin, buffer->end - buffer->begin);
    buffer->end -= buffer->begin;
    buffer->begin = 0;
    return 1;
}

/* Copy both ways until the daemon is gone. */
static void carry(int device, int daemon) {
    to_daemon.begin = to_daemon.end = to_device.begin = to_device.end = 0;
    for (;;) {
        int waits = to_daemon.end > to_daemon.begin;
        /* While the daemon takes nothing, the device is left alone: its queue is the only one. */
        struct pollfd ready[2] = {
            {.fd = waits ? -1 : device, .events = POLLIN},
            {.fd = daemon, .events = (short)(POLLIN | (waits ? POLLOUT : 0))},
        };
        if (poll(ready, 2, -1) < 0) {
            if (errno == EINTR) continue;
            fail("poll");
        }
        if (ready[0].revents) read_device(device);
        if (to_daemon.end > to_daemon.begin && !write_daemon(daemon)) return;
        if (ready[1].revents & (POLLIN | POLLHUP | POLLERR) && !read_daemon(daemon, device)) return;
    }
}

int main(int argc, char **argv) {
    struct in_addr address;
    int mtu = argc == 3 ? atoi(argv[2]) : 0;
    if (argc != 3 || inet_aton(argv[1], &address) == 0 || mtu < MTU_MIN || mtu > MTU_MAX) {
        fprintf(stderr, "usage: gang-link ADDRESS MTU (%d to %d)\n", MTU_MIN, MTU_MAX);
        return 2;
    }
    /* As the first process of its namespace it hears only signals that it handles. */
    signal(SIGTERM, stop);
    int device = open_device(address, mtu);
    give_up_capabilities();
    for (;;) {
        int daemon = connect_to_daemon();
        carry(device, daemon);
        close(daemon);
    }
}
