/* signals.h - how signals reach a command: as questions that it asks between two steps.

       signals_begin();                                  once, in main, before any thread
       signals_catch();                                  in a command that saves when it is stopped
       while (!signals_stop())
           if (signals_next() == SIGNALS_SAVE) ...

   SIGINT, SIGTERM and SIGHUP set a flag; a second one ends the program at once, with status 130.
   SIGUSR1 and SIGUSR2 end no command: `train` and `compare` answer them, others let them wait. */
#ifndef TN_APP_SIGNALS_H
#define TN_APP_SIGNALS_H

#include <stdbool.h>

typedef enum signals_request { SIGNALS_NONE, SIGNALS_SAVE, SIGNALS_STATUS } signals_request;

/* Blocks SIGUSR1 and SIGUSR2 until they are asked for, and ignores SIGXFSZ. writes: the command
   writes files, so it goes on when nobody reads what it prints: SIGPIPE is ignored, too. Other
   commands then end at once, as usual. */
void signals_begin(bool writes);
/* From now on the first SIGINT, SIGTERM or SIGHUP only sets the flag. A SIGHUP that is ignored
   stays ignored. */
void signals_catch(void);
/* The same for SIGINT alone, until signals_release, which also clears the flag. */
void signals_catch_interrupt(void);
void signals_release(void);
bool signals_stop(void); /* is the flag set? */
/* The next request since the last call: SIGUSR1 asks to save, SIGUSR2 for the status. */
signals_request signals_next(void);

#endif
