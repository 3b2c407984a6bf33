// When each stream's next token is due: one list for those in step, a heap for all the others.
#include <stdbool.h>
#include <stddef.h>

#include "clock.h"

enum { STREAMS_LIMIT = 65536 };

typedef struct Due {
    uint64_t at_ns, period_ns;
    long place;  // in the heap; -1 while nothing is due
    bool in_step;
    struct Due *next, *previous;
} Due;

static Due *heap[STREAMS_LIMIT];
static long heap_length;
static Due *step_first;
static uint64_t step_due_ns;

static void heap_put(long place, Due *due) {
    heap[place] = due;
    due->place = place;
}

static void heap_up(long place) {
    Due *moving = heap[place];
    while (place && heap[(place - 1) / 2]->at_ns > moving->at_ns) {
        heap_put(place, heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    heap_put(place, moving);
}

static void heap_down(long place) {
    Due *moving = heap[place];
    for (;;) {
        long child = place * 2 + 1;
        if (child >= heap_length) break;
        if (child + 1 < heap_length && heap[child + 1]->at_ns < heap[child]->at_ns) child++;
        if (heap[child]->at_ns >= moving->at_ns) break;
        heap_put(place, heap[child]);
        place = child;
    }
    heap_put(place, moving);
}

static void schedule(Due *due) {
    if (due->in_step) {
        if (!step_first) step_due_ns = now_ns() + due->period_ns;
        due->previous = NULL;
        due->next = step_first;
        if (step_first) step_first->previous = due;
        step_first = due;
        due->place = 0;
    } else if (heap_length < STREAMS_LIMIT) {
        heap_put(heap_length, due);
        heap_up(heap_length++);
    }
}

static void unschedule(Due *due) {
    if (due->place < 0) return;
    if (due->in_step) {
        if (due->previous)
            due->previous->next = due->next;
        else
            step_first = due->next;
        if (due->next) due->next->previous = due->previous;
    } else {
        long place = due->place;
        Due *last = heap[--heap_length];
        if (last != due) {
            heap_put(place, last);
            heap_up(place);
            heap_down(last->place);
        }
    }
    due->place = -1;
}

// What is due by `now` goes to `run` once each; a stream has its next time before it is run.
static void run_due(uint64_t now, void (*run)(Due *)) {
    if (step_first && step_due_ns <= now) {
        uint64_t period = step_first->period_ns;
        step_due_ns += period;
        if (step_due_ns <= now) step_due_ns = now + period;  // fell behind: no burst to catch up
        for (Due *due = step_first, *next; due; due = next) {
            next = due->next;
            run(due);
        }
    }
    while (heap_length && heap[0]->at_ns <= now) {
        Due *due = heap[0];
        due->at_ns += due->period_ns;
        if (due->at_ns <= now) due->at_ns = now + 1;
        heap_down(0);
        run(due);
    }
}

static uint64_t next_due_ns(void) {  // UINT64_MAX when nothing is
    uint64_t due = heap_length ? heap[0]->at_ns : UINT64_MAX;
    return step_first && step_due_ns < due ? step_due_ns : due;
}
