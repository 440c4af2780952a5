/* Memory that runs out when a test wants it to. The linker (--wrap) sends here what the files of
 * run_tests, though not its shared libraries, take from the heap and give back: malloc, calloc,
 * realloc, aligned_alloc, free, strdup, realpath, asprintf, and LAPACKE_dsyevr, which takes its
 * scratch itself. Outside scarce_begin .. scarce_end all of them do what they always do. One thread
 * at a time. */
#ifndef SCARCE_MEMORY_H
#define SCARCE_MEMORY_H

enum { SCARCE_NEVER = -1 };

struct scarce_count {
    long asked;  /* for how many blocks */
    long failed; /* how many were refused */
    long shrunk; /* how many of these were to make a block smaller, which the caller still has */
    long left;   /* blocks that were given and not taken back */
};

/* From now on the block number first (from 0; SCARCE_NEVER: none) is refused and, with is_lasting,
 * every one after it. */
void scarce_begin(long first, int is_lasting);

struct scarce_count scarce_end(void);

/* The same, and gives back the blocks that are left. */
void scarce_release(void);

/* After a time without refusals: the next number from k on that is worth a refusal, because its
 * block was asked for along a chain of calls that led to at most one block before it; the count of
 * all when there is none. */
long scarce_next(long k);

#endif
