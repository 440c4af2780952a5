/* One line on stderr that counts what is done, when that is a terminal. Any thread may call. */
#ifndef PROGRESS_H
#define PROGRESS_H

/* Shows "WHAT DONE/N" in place of the line before. */
void progress_show(const char *what, int done, int n);

/* Erases the line. */
void progress_end(void);

#endif
