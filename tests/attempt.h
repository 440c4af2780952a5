/* A way back from what ends the process: the linker (--wrap=exit) sends here every exit of our
 * files and Darknet's. */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include <stddef.h>

/* Runs action(argument). Returns 0 when it came back, or the status that it would have ended the
 * process with. text receives, as a string cut at size, what was written to the stream stderr
 * meanwhile; warnings go nowhere. Blocks that were taken from the heap and are still held are given
 * back (scarce_memory.h), so that nothing of action's is left but what libraries hold. Not to be
 * nested. */
int attempt(void (*action)(const void *argument), const void *argument, char *text, size_t size);

#endif
