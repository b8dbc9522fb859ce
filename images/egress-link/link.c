/*
 * The link of a job to its node's proxy: where the job connects to, handed to the node's daemon.
 *
 *     egress-link
 *
 * It runs in a container that has the job's network namespace, without any capability. It listens at
 * 127.0.0.1:PORT there, and gives the listening socket itself (SCM_RIGHTS, beside one byte) to whoever
 * listens at the Unix socket SOCKET_PATH: the node's daemon, which then takes the job's connections
 * where they arrive. No byte of the job passes through here.
 *
 * A daemon that restarts is given the socket again; what the job connects meanwhile waits in its
 * queue, BACKLOG long.
 *
 * Exit: 0 on SIGTERM; 1 when it cannot listen, with one line on stderr; 2 on arguments.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_PATH "/egress/link.sock"
#define PORT 3128
#define BACKLOG 128
#define RECONNECT_MS 100

static void fail(const char *what) {
    fprintf(stderr, "egress-link: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void stop(int signal) {
    (void)signal;
    _exit(0);
}

static int listen_for_job(void) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) fail("socket");
    if (bind(listener, (struct sockaddr *)&where, sizeof where) < 0) fail("cannot bind 127.0.0.1");
    if (listen(listener, BACKLOG) < 0) fail("cannot listen");
    return listener;
}

/* The daemon may not be there yet, or not any more. */
static int connect_to_daemon(void) {
    struct sockaddr_un where = {.sun_family = AF_UNIX, .sun_path = SOCKET_PATH};
    for (;;) {
        int daemon = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (daemon < 0) fail("socket");
        if (connect(daemon, (struct sockaddr *)&where, sizeof where) == 0) return daemon;
        close(daemon);
        poll(NULL, 0, RECONNECT_MS);
    }
}

/* Whether the daemon took it. */
static int hand_over(int daemon, int listener) {
    char byte = 0;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control.space,
        .msg_controllen = sizeof control.space,
    };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &listener, sizeof(int));
    return sendmsg(daemon, &message, MSG_NOSIGNAL) == 1;
}

/* It says nothing; its end is what is waited for. */
static void until_gone(int daemon) {
    char byte;
    for (;;) {
        ssize_t got = recv(daemon, &byte, 1, 0);
        if (got == 0 || (got < 0 && errno != EINTR)) return;
    }
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc != 1) {
        fprintf(stderr, "usage: egress-link\n");
        return 2;
    }
    /* As the first process of its namespace it hears only signals that it handles. */
    signal(SIGTERM, stop);
    int listener = listen_for_job();
    for (;;) {
        int daemon = connect_to_daemon();
        if (hand_over(daemon, listener)) until_gone(daemon);
        close(daemon);
        /* One that takes it and leaves at once is not asked in a loop. */
        poll(NULL, 0, RECONNECT_MS);
    }
}
