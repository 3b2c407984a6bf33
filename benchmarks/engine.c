// A stand-in for an engine, at C speed: what it costs is small beside any path that is measured.
//
//   engine [--port N] [--uds PATH] [--rate TOKENS_PER_SECOND] [--tokens DEFAULT_MAX_TOKENS]
//
// Port 0 means any; the line "listening on PORT" on standard output says which. One thread, one
// epoll. It speaks enough HTTP/1.1 to be honest: keep-alive, pipelining, bodies by content-length
// up to 8 MiB however they are split, chunked answers, and it notices a client that left.
//
//   GET  /health, /v1/models, /stats          POST /v1/chat/completions, /tokenize
//
// The model says how tokens come: "step" all streams in one beat, as one engine steps its batch;
// "spread" each in its own, as many engines do; "fast" as fast as the reader reads. Every content
// event is 284 bytes and its text is "sent_ns=" and the monotonic clock at its write; as with real
// engines, nothing but the text differs from one event of an answer to the next.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "schedule.h"

enum { HEAD_LIMIT = 64 << 10, BODY_LIMIT = 8 << 20, EVENT_BYTES = 284 };

typedef struct {
    char *data;
    size_t length, capacity;
} Buffer;

typedef struct {
    Due due;  // first, so that a pointer to it is one to the connection
    int fd;
    Buffer in, out;
    size_t sent;        // of `out`
    bool is_answering;  // a chat answer is under way; what comes in meanwhile waits
    bool is_closing;    // after `out` is written
    // the answer under way
    bool streams, wants_usage, is_blocked;
    long tokens, produced, prompt_tokens;
    char model[64];
    uint64_t id;
    char event[320];  // one content event with its chunk framing; only the clock changes
    size_t event_length, clock_at;
} Connection;

static int poll_fd;
static long default_tokens = 128;
static double rate = 50;
static long running, served, aborted, tokens_total;
static uint64_t answers;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void append(Buffer *buffer, const void *data, size_t length) {
    if (buffer->length + length > buffer->capacity) {
        buffer->capacity = (buffer->length + length) * 2;
        buffer->data = realloc(buffer->data, buffer->capacity);
        if (!buffer->data) die("realloc");
    }
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
}

static void drop_front(Buffer *buffer, size_t count) {
    buffer->length -= count;
    memmove(buffer->data, buffer->data + count, buffer->length);
}

// ---- writing

static void watch(Connection *connection, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(poll_fd, operation, connection->fd, &event)) die("epoll_ctl");
}

static bool flush(Connection *connection) {  // false when the client is gone
    Buffer *out = &connection->out;
    while (connection->sent < out->length) {
        ssize_t count = send(connection->fd, out->data + connection->sent,
                             out->length - connection->sent, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN) return false;
            if (!connection->is_blocked)
                watch(connection, EPOLLIN | EPOLLRDHUP | EPOLLOUT, EPOLL_CTL_MOD);
            connection->is_blocked = true;
            return true;
        }
        connection->sent += count;
    }
    out->length = connection->sent = 0;
    if (connection->is_blocked) {
        connection->is_blocked = false;
        watch(connection, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_MOD);
        if (connection->is_answering && connection->streams && connection->due.place < 0) {
            connection->due.at_ns = now_ns();
            schedule(&connection->due);
        }
    }
    return true;
}

static void close_connection(Connection *connection) {
    if (connection->is_answering) {
        unschedule(&connection->due);
        running--;
        aborted++;
    }
    close(connection->fd);
    free(connection->in.data);
    free(connection->out.data);
    free(connection);
}

static void answer_json(Connection *connection, int status, const char *body) {
    char head[256];
    const char *reason = status == 200 ? "OK" : status == 404 ? "Not Found" : "Bad Request";
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\n"
                          "content-length: %zu\r\n%s\r\n",
                          status, reason, strlen(body),
                          connection->is_closing ? "connection: close\r\n" : "");
    append(&connection->out, head, length);
    append(&connection->out, body, strlen(body));
}

static void append_event(Connection *connection, const char *format, ...) {
    char payload[1024], framed[1100];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(payload, sizeof payload, format, arguments);
    va_end(arguments);
    int framed_length =
        snprintf(framed, sizeof framed, "%x\r\ndata: %s\n\n\r\n", length + 8, payload);
    append(&connection->out, framed, framed_length);
}

// ---- answers

static void render_event(Connection *connection) {
    static const char fingerprint[] =
        "fp_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    char payload[EVENT_BYTES + 1];
    int used = snprintf(
        payload, sizeof payload,
        "data: "
        "{\"id\":\"chatcmpl-%08lx\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
        "\"model\":\"%s\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
        "\" sent_ns=00000000000000000000\"},"
        "\"finish_reason\":null}],\"system_fingerprint\":\"",
        connection->id, connection->model);
    int padding = EVENT_BYTES - used - 4;
    snprintf(payload + used, sizeof payload - used, "%.*s\"}\n\n", padding, fingerprint);
    connection->event_length =
        snprintf(connection->event, sizeof connection->event, "%x\r\n%s\r\n", EVENT_BYTES, payload);
    connection->clock_at = strstr(connection->event, "sent_ns=") - connection->event + 8;
}

static void add_content(Connection *connection) {
    uint64_t clock = now_ns();
    for (int digit = 19; digit >= 0; digit--, clock /= 10)
        connection->event[connection->clock_at + digit] = '0' + clock % 10;
    append(&connection->out, connection->event, connection->event_length);
    connection->produced++;
    tokens_total++;
}

static void end_answer(Connection *connection) {
    const char *model = connection->model;
    long total = connection->prompt_tokens + connection->produced;
    if (connection->streams) {
        append_event(connection,
                     "{\"id\":\"chatcmpl-%08lx\",\"object\":\"chat.completion.chunk\",\"created\":"
                     "1700000000,\"model\":\"%s\","
                     "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}",
                     connection->id, model);
        if (connection->wants_usage)
            append_event(connection,
                         "{\"id\":\"chatcmpl-%08lx\",\"object\":\"chat.completion.chunk\","
                         "\"created\":1700000000,\"model\":\"%s\","
                         "\"choices\":[],\"usage\":{\"prompt_tokens\":%ld,\"completion_tokens\":%"
                         "ld,\"total_tokens\":%ld}}",
                         connection->id, model, connection->prompt_tokens, connection->produced,
                         total);
        append(&connection->out, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", 24);
    } else {
        size_t room = connection->produced * 6 + 512;
        char *text = malloc(connection->produced * 6 + 1), *body = malloc(room);
        for (long token = 0; token < connection->produced; token++)
            memcpy(text + token * 6, " token", 6);
        text[connection->produced * 6] = 0;
        snprintf(
            body, room,
            "{\"id\":\"chatcmpl-%08lx\",\"object\":\"chat.completion\",\"created\":1700000000,"
            "\"model\":\"%s\","
            "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},"
            "\"finish_reason\":\"length\"}],"
            "\"usage\":{\"prompt_tokens\":%ld,\"completion_tokens\":%ld,\"total_tokens\":%ld}}",
            connection->id, model, text, connection->prompt_tokens, connection->produced, total);
        answer_json(connection, 200, body);
        free(text);
        free(body);
    }
    connection->is_answering = false;
    running--;
    served++;
}

static const char *value_of(const char *body, const char *key) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    for (const char *at = body; (at = strstr(at, quoted));) {
        at += strlen(quoted);
        at += strspn(at, " \t\r\n");
        if (*at == ':') return at + 1 + strspn(at + 1, " \t\r\n");
    }
    return "";
}

static long number_of(const char *body, const char *key, long otherwise) {
    const char *value = value_of(body, key);
    return *value >= '0' && *value <= '9' ? atol(value) : otherwise;
}

static void start_chat(Connection *connection, const char *body, size_t length) {
    const char *model = value_of(body, "model");
    if (*model != '"') {
        answer_json(
            connection, 400,
            "{\"error\":{\"message\":\"'model' is "
            "missing\",\"type\":\"invalid_request_error\",\"param\":\"model\",\"code\":null}}");
        return;
    }
    size_t name = strcspn(model + 1, "\"");
    snprintf(connection->model, sizeof connection->model, "%.*s", (int)(name < 60 ? name : 60),
             model + 1);
    bool is_fast = !strcmp(connection->model, "fast"), in_step = !strcmp(connection->model, "step");
    if (!is_fast && !in_step && strcmp(connection->model, "spread")) {
        answer_json(connection, 404,
                    "{\"error\":{\"message\":\"no such "
                    "model\",\"type\":\"NotFoundError\",\"param\":\"model\",\"code\":404}}");
        return;
    }
    connection->due.in_step = in_step;
    connection->streams = !strncmp(value_of(body, "stream"), "true", 4);
    connection->wants_usage = !strncmp(value_of(body, "include_usage"), "true", 4);
    connection->tokens =
        number_of(body, "max_tokens", number_of(body, "max_completion_tokens", default_tokens));
    if (connection->tokens < 1) connection->tokens = 1;
    connection->prompt_tokens = length / 4 + 1;
    connection->produced = 0;
    connection->due.period_ns = is_fast || rate <= 0 ? 0 : (uint64_t)(1e9 / rate);
    connection->is_answering = true;
    connection->id = ++answers;
    running++;
    uint64_t now = now_ns();
    if (!connection->streams) {  // the answer is due when its last token is
        connection->due.in_step = false;
        connection->due.at_ns = now + connection->due.period_ns * (connection->tokens - 1);
        schedule(&connection->due);
        return;
    }
    static const char head[] =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: "
        "no-cache\r\n"
        "transfer-encoding: chunked\r\n\r\n";
    append(&connection->out, head, sizeof head - 1);
    append_event(connection,
                 "{\"id\":\"chatcmpl-%08lx\",\"object\":\"chat.completion.chunk\",\"created\":"
                 "1700000000,\"model\":\"%s\","
                 "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                 "\"finish_reason\":null}]}",
                 connection->id, connection->model);
    render_event(connection);
    add_content(connection);  // the first token comes at once, so that its delay is the path's
    if (connection->produced == connection->tokens) {
        end_answer(connection);
        return;
    }
    uint64_t phase =
        in_step || !connection->due.period_ns ? 0 : (uint64_t)random() % connection->due.period_ns;
    connection->due.at_ns = now + connection->due.period_ns + phase;
    schedule(&connection->due);
}

static bool next_token(Connection *connection) {  // false when the client is gone
    if (!connection->streams) {
        unschedule(&connection->due);
        connection->produced = connection->tokens;
        tokens_total += connection->tokens;
        end_answer(connection);
    } else if (connection->is_blocked) {
        unschedule(&connection->due);  // until the reader has caught up
        return true;
    } else {
        add_content(connection);
        if (connection->produced == connection->tokens) {
            unschedule(&connection->due);
            end_answer(connection);
        }
    }
    return flush(connection);
}

// ---- requests

static void answer_request(Connection *connection, const char *method, const char *path, char *body,
                           size_t length) {
    char text[512];
    bool is_get = !strcmp(method, "GET");
    if (is_get && !strcmp(path, "/health")) {
        answer_json(connection, 200, "{\"status\":\"ok\"}");
    } else if (is_get && !strcmp(path, "/v1/models")) {
        answer_json(connection, 200,
                    "{\"object\":\"list\",\"data\":["
                    "{\"id\":\"step\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":"
                    "\"bench\",\"max_model_len\":1000000},"
                    "{\"id\":\"spread\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":"
                    "\"bench\",\"max_model_len\":1000000},"
                    "{\"id\":\"fast\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":"
                    "\"bench\",\"max_model_len\":1000000}]}");
    } else if (is_get && !strcmp(path, "/stats")) {
        snprintf(text, sizeof text,
                 "{\"running\":%ld,\"served\":%ld,\"aborted\":%ld,\"tokens\":%ld}", running, served,
                 aborted, tokens_total);
        answer_json(connection, 200, text);
    } else if (!strcmp(method, "POST") && !strcmp(path, "/v1/chat/completions")) {
        start_chat(connection, body, length);
    } else if (!strcmp(method, "POST") && !strcmp(path, "/tokenize")) {
        snprintf(text, sizeof text, "{\"count\":%zu,\"max_model_len\":1000000,\"tokens\":[]}",
                 length / 4 + 1);
        answer_json(connection, 200, text);
    } else {
        answer_json(connection, 404,
                    "{\"error\":{\"message\":\"not "
                    "found\",\"type\":\"NotFoundError\",\"param\":null,\"code\":404}}");
    }
}

static const char *header_of(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r';
         line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, length) && line[2 + length] == ':')
            return line + 3 + length + strspn(line + 3 + length, " ");
    return "";
}

static bool take_requests(Connection *connection) {  // false when the client broke HTTP
    while (!connection->is_answering && !connection->is_closing) {
        append(&connection->in, "", 1);  // ends the text, not the buffer
        connection->in.length--;
        char *start = connection->in.data,
             *end = memmem(start, connection->in.length, "\r\n\r\n", 4);
        if (!end) return connection->in.length <= HEAD_LIMIT;
        size_t head_length = end + 4 - start;
        char kept = end[4];
        end[4] = 0;
        long body_length = atol(header_of(start, "content-length"));
        bool is_last = !strncasecmp(header_of(start, "connection"), "close", 5) ||
                       strstr(start, " HTTP/1.0\r\n");
        bool is_chunked = *header_of(start, "transfer-encoding");
        end[4] = kept;
        if (is_chunked || body_length < 0 || body_length > BODY_LIMIT) return false;
        if (connection->in.length < head_length + body_length) return true;
        char method[16], path[256];
        if (sscanf(start, "%15s %255s", method, path) != 2) return false;
        char *body = start + head_length;
        char after = body[body_length];
        body[body_length] = 0;
        connection->is_closing = is_last;
        answer_request(connection, method, path, body, body_length);
        body[body_length] = after;
        drop_front(&connection->in, head_length + body_length);
    }
    return true;
}

static bool serve(Connection *connection, uint32_t events) {
    if (events & (EPOLLHUP | EPOLLERR)) return false;
    if (events & (EPOLLIN | EPOLLRDHUP)) {
        char data[64 << 10];
        ssize_t count = recv(connection->fd, data, sizeof data, 0);
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return false;
        if (count > 0) append(&connection->in, data, count);
        if (connection->in.length > HEAD_LIMIT + BODY_LIMIT) return false;
    }
    if (!take_requests(connection) || !flush(connection)) return false;
    return !(connection->is_closing && !connection->is_answering && !connection->out.length);
}

static void run_token(Due *due) {
    Connection *connection = (Connection *)due;
    bool is_alive = next_token(connection);
    if (is_alive && !connection->is_answering) is_alive = serve(connection, 0);
    if (!is_alive) close_connection(connection);
}

static struct timespec *time_left(struct timespec *left) {
    uint64_t due = next_due_ns(), now = now_ns(), wait = due > now ? due - now : 0;
    left->tv_sec = wait / 1000000000;
    left->tv_nsec = wait % 1000000000;
    return due == UINT64_MAX ? NULL : left;
}

static int listen_on(struct sockaddr *address, socklen_t length) {
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, address, length) || listen(fd, 4096)) die("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)fd << 1 | 1};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
    return fd;
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        Connection *connection = calloc(1, sizeof *connection);
        connection->fd = fd;
        connection->due.place = -1;
        watch(connection, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_ADD);
    }
}

int main(int count, char **arguments) {
    int port = 0;
    const char *path = NULL;
    for (int index = 1; index + 1 < count; index += 2) {
        char *name = arguments[index], *value = arguments[index + 1];
        if (!strcmp(name, "--port"))
            port = atoi(value);
        else if (!strcmp(name, "--uds"))
            path = value;
        else if (!strcmp(name, "--rate"))
            rate = atof(value);
        else if (!strcmp(name, "--tokens"))
            default_tokens = atol(value);
        else
            return fprintf(stderr, "unknown option %s\n", name), 2;
    }
    signal(SIGPIPE, SIG_IGN);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        unlink(path);
        listen_on((struct sockaddr *)&address, sizeof address);
        printf("listening on %s\n", path);
    } else {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof address;
        int fd = listen_on((struct sockaddr *)&address, length);
        getsockname(fd, (struct sockaddr *)&address, &length);
        printf("listening on %d\n", ntohs(address.sin_port));
    }
    fflush(stdout);
    for (;;) {
        struct epoll_event events[512];
        struct timespec left;
        int ready = epoll_pwait2(poll_fd, events, 512, time_left(&left), NULL);
        if (ready < 0 && errno != EINTR) die("epoll_pwait2");
        for (int index = 0; index < ready; index++) {
            if (events[index].data.u64 & 1) {
                accept_all((int)(events[index].data.u64 >> 1));
                continue;
            }
            Connection *connection = events[index].data.ptr;
            if (!serve(connection, events[index].events)) close_connection(connection);
        }
        run_due(now_ns(), run_token);
    }
}
