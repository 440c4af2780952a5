/* Errors of the library: a code for programs, one line for people. */
#ifndef SN_ERROR_H
#define SN_ERROR_H

enum sn_status { SN_OK = 0, SN_NO_MEMORY, SN_BAD_INPUT, SN_IO };

struct sn_error {
    enum sn_status code;
    char message[1024]; /* no newline; empty while code is SN_OK */
};

/* Fills *error (which may be NULL) with code and the formatted line, cut at 1023 bytes. Returns
 * code. */
enum sn_status sn_fail(struct sn_error *error, enum sn_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
