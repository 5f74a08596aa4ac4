/* signals.c - keeps signals until a command asks for them between two steps. */
#include "apps/run/signals.h"

#include <signal.h>
#include <unistd.h>

/* The only global variable of the program that changes: a signal asked it to stop. */
static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    if (stop_asked)
        _exit(130);
    stop_asked = 1;
}

void signals_catch(void)
{
    struct sigaction before, action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (!sigaction(SIGHUP, NULL, &before) && before.sa_handler != SIG_IGN) /* nohup ignores it */
        sigaction(SIGHUP, &action, NULL);
}

void signals_catch_interrupt(void)
{
    sigaction(SIGINT, &(struct sigaction){ .sa_handler = on_signal, .sa_flags = SA_RESTART }, NULL);
}

void signals_release(void)
{
    signal(SIGINT, SIG_DFL);
    stop_asked = 0;
}

bool signals_stop(void)
{
    return stop_asked != 0;
}

/* SIGUSR1 and SIGUSR2. Both stay blocked: their default action would end the program. */
static sigset_t requests(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    return set;
}

void signals_begin(bool writes)
{
    const sigset_t waiting = requests();
    sigprocmask(SIG_BLOCK, &waiting, NULL); /* threads inherit it */
    signal(SIGXFSZ, SIG_IGN);               /* a file that is too large is an error of write */
    if (writes)
        signal(SIGPIPE, SIG_IGN); /* so is a closed pipe */
}

signals_request signals_next(void)
{
    static const int numbers[] = { SIGUSR1, SIGUSR2 };
    static const signals_request asked[] = { SIGNALS_SAVE, SIGNALS_STATUS };
    sigset_t pending, one;
    sigpending(&pending);
    for (int i = 0; i < 2; i++) {
        int number = numbers[i];
        sigemptyset(&one);
        sigaddset(&one, number);
        if (sigismember(&pending, number) && !sigwait(&one, &number)) /* it does not wait */
            return asked[i];
    }
    return SIGNALS_NONE;
}
