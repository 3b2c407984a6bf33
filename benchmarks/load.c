// Clients of /v1/chat/completions, at C speed: N streams at once, each answer checked whole.
//
//   load --port N --model NAME [--path /v1/chat/completions] [--key KEY] [--streams N] [--tokens N]
//        [--warm SECONDS] [--window SECONDS] [--stalled N]
//
// Streams start spread over the first half of the warm-up and begin anew as they end; the window
// waits up to three seconds more for those that have had no token yet. When it opens and closes,
// "open" and "closed" go to standard output at once, so that whoever reads them can look at the
// clocks of other processes; then every stream may end, and one line of JSON says what was seen
// inside the window. `--stalled` adds streams of the model "fast" that are read at 1 KiB a second
// and count nowhere. An answer is whole with a role, all its tokens, a finish_reason, usage that
// agrees, [DONE], and the end of its body; "broken" counts the others.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

enum {
    TORN_LIMIT = 64 << 10,
    SAMPLES_LIMIT = 4 << 20,
    STALLED_BYTES = 1024,
    STALLED_TOKENS = 500000,
    LATE_SECONDS = 3
};

typedef enum { IDLE, HEAD, CHUNK_SIZE, CHUNK, CHUNK_END, LAST_LINE } State;

typedef struct {
    int fd;
    bool is_stalled, is_over, has_begun;
    State state;
    long chunk_left;
    char line[8192], event[TORN_LIMIT];
    size_t line_length, event_length;
    uint64_t asked_ns, starts_ns;
    bool has_role, has_finish, has_usage, is_done;
    long tokens;
} Stream;

typedef struct {
    uint32_t *microseconds;
    size_t count;
} Samples;

static struct sockaddr_in address = {.sin_family = AF_INET};
typedef struct {
    char text[4096];
    size_t length;
} Request;

static Request request, stalled_request;
static long tokens_wanted = 64;
static bool window_is_open, is_ending;
static long chunks, answers, broken, refused, live, begun;
static Samples first_token, delay;
static int poll_fd;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void note(Samples *samples, uint64_t nanoseconds) {
    if (window_is_open && samples->count < SAMPLES_LIMIT)
        samples->microseconds[samples->count++] = nanoseconds / 1000;
}

static int compare(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static void print_samples(const char *name, Samples *samples) {
    if (!samples->count) {
        printf("\"%s_us\":null,", name);
        return;
    }
    qsort(samples->microseconds, samples->count, sizeof(uint32_t), compare);
    printf("\"%s_us\":{\"count\":%zu,\"p50\":%u,\"p99\":%u,\"max\":%u},", name, samples->count,
           samples->microseconds[samples->count / 2],
           samples->microseconds[samples->count * 99 / 100],
           samples->microseconds[samples->count - 1]);
}

static void end_stream(Stream *stream) {
    if (stream->fd >= 0) close(stream->fd);
    stream->fd = -1;
    if (!stream->is_over && !stream->is_stalled) live--;
    stream->is_over = true;
}

static void complain(Stream *stream, const char *what) {
    if (broken + refused < 3)
        fprintf(stderr, "load: %s: %.*s\n", what,
                (int)(stream->line_length < 400 ? stream->line_length : 400), stream->line);
}

static void ask(Stream *stream) {
    if (stream->fd < 0) {
        int on = 1, small = 4096;
        stream->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (stream->fd < 0) die("socket");
        setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (stream->is_stalled) setsockopt(stream->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        if (connect(stream->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
        fcntl(stream->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = stream};
        if (!stream->is_stalled && epoll_ctl(poll_fd, EPOLL_CTL_ADD, stream->fd, &event))
            die("epoll_ctl");
    }
    stream->state = HEAD;
    stream->line_length = stream->event_length = 0;
    stream->has_role = stream->has_finish = stream->has_usage = stream->is_done = false;
    stream->tokens = 0;
    stream->asked_ns = now_ns();
    const Request *asked = stream->is_stalled ? &stalled_request : &request;
    if (send(stream->fd, asked->text, asked->length, MSG_NOSIGNAL) != (ssize_t)asked->length) {
        refused++;
        end_stream(stream);
    }
}

// ---- reading an answer

static bool has(const char *event, size_t length, const char *what) {
    return memmem(event, length, what, strlen(what)) != NULL;
}

static void take_event(Stream *stream, const char *event, size_t length, uint64_t now) {
    const char *clock = memmem(event, length, "sent_ns=", 8);
    if (clock) {
        begun += !stream->has_begun;
        stream->has_begun = true;
        if (!stream->tokens++) note(&first_token, now - stream->asked_ns);
        uint64_t sent = strtoull(clock + 8, NULL, 10);
        note(&delay, now > sent ? now - sent : 0);
        if (window_is_open) chunks++;
    } else if (has(event, length, "[DONE]")) {
        stream->is_done = true;
    } else if (has(event, length, "\"usage\":{")) {
        const char *counted = memmem(event, length, "\"completion_tokens\":", 20);
        stream->has_usage = counted && atol(counted + 20) == tokens_wanted;
    } else if (has(event, length, "\"finish_reason\":\"")) {
        stream->has_finish = true;
    } else if (has(event, length, "\"role\":\"assistant\"")) {
        stream->has_role = true;
    } else {
        stream->line_length = length < sizeof stream->line ? length : sizeof stream->line;
        memcpy(stream->line, event, stream->line_length);
        complain(stream, "unexpected event");
    }
}

static void take_body(Stream *stream, const char *data, size_t length, uint64_t now) {
    if (stream->event_length + length > TORN_LIMIT) {
        stream->event_length = 0;
        return;
    }
    memcpy(stream->event + stream->event_length, data, length);
    stream->event_length += length;
    char *start = stream->event, *end;
    size_t left = stream->event_length;
    while ((end = memmem(start, left, "\n\n", 2))) {
        take_event(stream, start, end - start, now);
        left -= end + 2 - start;
        start = end + 2;
    }
    memmove(stream->event, start, left);
    stream->event_length = left;
}

static void end_answer(Stream *stream) {
    bool is_whole = stream->has_role && stream->has_finish && stream->has_usage &&
                    stream->is_done && stream->tokens == tokens_wanted && !stream->event_length;
    if (is_whole) {
        answers += window_is_open;
    } else {
        stream->line_length = snprintf(stream->line, sizeof stream->line,
                                       "role %d tokens %ld finish %d usage %d done %d torn %zu",
                                       stream->has_role, stream->tokens, stream->has_finish,
                                       stream->has_usage, stream->is_done, stream->event_length);
        complain(stream, "broken answer");
        broken++;
    }
    if (is_ending)
        end_stream(stream);
    else
        ask(stream);
}

static bool take_line(
    Stream *stream) {  // one whole line without its end; false when the stream is over
    stream->line[stream->line_length] = 0;
    if (stream->state == CHUNK_SIZE) {
        stream->chunk_left = strtol(stream->line, NULL, 16);
        stream->state = stream->chunk_left ? CHUNK : LAST_LINE;
    } else if (stream->state == CHUNK_END) {
        stream->state = CHUNK_SIZE;
    } else if (stream->state == LAST_LINE) {
        stream->line_length = 0;
        end_answer(stream);
        return stream->fd >= 0;
    }
    stream->line_length = 0;
    return true;
}

static bool take_head(Stream *stream) {
    stream->line[stream->line_length] = 0;
    if (strncmp(stream->line, "HTTP/1.1 200", 12) ||
        !strcasestr(stream->line, "transfer-encoding: chunked")) {
        complain(stream, "refused");
        refused++;
        end_stream(stream);
        return false;
    }
    stream->line_length = 0;
    stream->state = CHUNK_SIZE;
    return true;
}

static void take(Stream *stream, const char *data, size_t length, uint64_t now) {
    while (length && stream->fd >= 0) {
        if (stream->state == CHUNK) {
            size_t count =
                (size_t)stream->chunk_left < length ? (size_t)stream->chunk_left : length;
            take_body(stream, data, count, now);
            stream->chunk_left -= count;
            data += count;
            length -= count;
            if (!stream->chunk_left) stream->state = CHUNK_END;
            continue;
        }
        char byte = *data++;
        length--;
        if (stream->line_length + 1 < sizeof stream->line)
            stream->line[stream->line_length++] = byte;
        if (byte != '\n') continue;
        bool goes_on = true;
        if (stream->state != HEAD) {
            stream->line_length -=
                stream->line_length > 1 && stream->line[stream->line_length - 2] == '\r' ? 2 : 1;
            goes_on = take_line(stream);
        } else if (stream->line_length >= 4 &&
                   !memcmp(stream->line + stream->line_length - 4, "\r\n\r\n", 4)) {
            goes_on = take_head(stream);
        }
        if (!goes_on) return;
    }
}

static void read_stream(Stream *stream) {
    char data[128 << 10];
    ssize_t count = recv(stream->fd, data, sizeof data, 0);
    if (count > 0) {
        take(stream, data, count, now_ns());
    } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
        stream->line_length =
            snprintf(stream->line, sizeof stream->line, "after %ld tokens", stream->tokens);
        complain(stream, "connection lost");
        broken++;
        end_stream(stream);
    }
}

// ---- the run

static void run_until(uint64_t end_ns, Stream *streams, long count, long *started) {
    static uint64_t stalled_due_ns;
    for (uint64_t now = now_ns(); now < end_ns && (live || *started < count); now = now_ns()) {
        struct epoll_event events[512];
        int ready = epoll_wait(poll_fd, events, 512, 1);
        for (int index = 0; index < ready; index++)
            if (((Stream *)events[index].data.ptr)->fd >= 0) read_stream(events[index].data.ptr);
        now = now_ns();
        while (*started < count && streams[*started].starts_ns <= now) ask(&streams[(*started)++]);
        if (now < stalled_due_ns) continue;
        stalled_due_ns = now + 1000000000;
        for (long index = 0; index < *started; index++) {
            char data[STALLED_BYTES];
            if (streams[index].is_stalled && streams[index].fd >= 0)
                (void)!recv(streams[index].fd, data, sizeof data, 0);
        }
    }
}

static void write_request(Request *written, const char *path, const char *key, const char *model,
                          long tokens) {
    char body[1024], authorization[512] = "";
    int body_length =
        snprintf(body, sizeof body,
                 "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"Count the waves "
                 "that reach the shore tonight.\"}],"
                 "\"max_tokens\":%ld,\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
                 model, tokens);
    if (*key) snprintf(authorization, sizeof authorization, "authorization: Bearer %s\r\n", key);
    written->length = snprintf(written->text, sizeof written->text,
                               "POST %s HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: "
                               "application/json\r\n%scontent-length: %d\r\n\r\n%s",
                               path, authorization, body_length, body);
}

int main(int count, char **arguments) {
    const char *path = "/v1/chat/completions", *key = "", *model = "step";
    long streams_count = 1, stalled = 0;
    double warm = 0.5, window = 1;
    for (int index = 1; index + 1 < count; index += 2) {
        char *name = arguments[index], *value = arguments[index + 1];
        if (!strcmp(name, "--port"))
            address.sin_port = htons(atoi(value));
        else if (!strcmp(name, "--path"))
            path = value;
        else if (!strcmp(name, "--key"))
            key = value;
        else if (!strcmp(name, "--model"))
            model = value;
        else if (!strcmp(name, "--streams"))
            streams_count = atol(value);
        else if (!strcmp(name, "--stalled"))
            stalled = atol(value);
        else if (!strcmp(name, "--tokens"))
            tokens_wanted = atol(value);
        else if (!strcmp(name, "--warm"))
            warm = atof(value);
        else if (!strcmp(name, "--window"))
            window = atof(value);
        else
            return fprintf(stderr, "unknown option %s\n", name), 2;
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    write_request(&request, path, key, model, tokens_wanted);
    write_request(&stalled_request, path, key, "fast", STALLED_TOKENS);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    first_token.microseconds = malloc(SAMPLES_LIMIT * sizeof(uint32_t));
    delay.microseconds = malloc(SAMPLES_LIMIT * sizeof(uint32_t));
    long all = streams_count + stalled, started = 0;
    Stream *streams = calloc(all, sizeof *streams);
    uint64_t begin = now_ns();
    for (long index = 0; index < all; index++) {
        streams[index].fd = -1;
        streams[index].is_stalled = index >= streams_count;
        streams[index].starts_ns = begin + (uint64_t)(warm * 0.5e9 * index / all);
    }
    live = streams_count;
    run_until(begin + (uint64_t)(warm * 1e9), streams, all, &started);
    while (begun < live && now_ns() < begin + (uint64_t)((warm + LATE_SECONDS) * 1e9))
        run_until(now_ns() + 20000000, streams, all, &started);
    window_is_open = true;
    uint64_t opened = now_ns();
    puts("open");
    fflush(stdout);
    run_until(opened + (uint64_t)(window * 1e9), streams, all, &started);
    uint64_t closed = now_ns();
    window_is_open = false;
    is_ending = true;
    puts("closed");
    fflush(stdout);
    for (long index = streams_count; index < all; index++) end_stream(&streams[index]);
    run_until(closed + 10000000000u, streams, all, &started);
    printf(
        "{\"seconds\":%.6f,\"chunks\":%ld,\"answers\":%ld,\"broken\":%ld,\"refused\":%ld,"
        "\"unfinished\":%ld,",
        (closed - opened) / 1e9, chunks, answers, broken, refused, live);
    print_samples("first_token", &first_token);
    print_samples("delay", &delay);
    printf("\"streams\":%ld}\n", streams_count);
    return 0;
}
