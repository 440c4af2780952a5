/* An exported net on a microcontroller: the outputs for all inputs of inputs.bin go to outputs.bin;
 * instructions and stack of one run, and the memory a net needs, to the terminal. */
#include "micro.h"
#include "net.h"
#include "target.h"

enum { SYS_OPEN = 1, SYS_CLOSE, SYS_WRITE0 = 4, SYS_WRITE, SYS_READ };
enum { READ_BINARY = 1, WRITE_BINARY = 5 };
enum { PAINT = 0x5a17c0de, PAINTED_WORDS = 2048 };

static net_input input[net_INPUTS] __attribute__((aligned(4)));
static net_output output[net_OUTPUTS] __attribute__((aligned(4)));
static uint8_t memory[net_SCRATCH_BYTES + !net_SCRATCH_BYTES] __attribute__((aligned(4)));

static void print(const char *text) { target_call(SYS_WRITE0, text); }

static void print_number(const char *name, uint32_t n)
{
    char digits[12], *d = digits + sizeof digits;
    *--d = 0;
    *--d = '\n';
    do *--d = (char)('0' + n % 10);
    while (n /= 10);
    print(name);
    print(d);
}

static _Noreturn void fail(const char *why)
{
    print(why);
    target_exit(0);
}

static intptr_t open_file(const char *name, intptr_t length, intptr_t mode)
{
    intptr_t file = target_call(SYS_OPEN, (const intptr_t[]){ (intptr_t)name, mode, length });
    if (file < 0) fail("a file cannot be opened\n");
    return file;
}

/* The bytes that were not read or written. */
static intptr_t transfer(intptr_t operation, intptr_t file, void *bytes, intptr_t n)
{
    return target_call(operation, (const intptr_t[]){ file, (intptr_t)bytes, n });
}

/* False at the end of the file. */
static int read_input(intptr_t file)
{
    intptr_t missing = transfer(SYS_READ, file, input, sizeof input);
    if (missing != 0 && missing != sizeof input) fail("an input is incomplete\n");
    return missing == 0;
}

static uint32_t count_instructions(void)
{
    target_start_counter();
    uint64_t before = target_instructions(), start = target_instructions();
    sn_micro_run(&net, input, output, memory);
    uint64_t end = target_instructions();
    target_stop_counter();
    return (uint32_t)(end - start - (start - before));
}

/* Below the stack pointer nothing is in use, so words are painted there, and the lowest one that
 * has another value after the run is the deepest that the run used. */
static __attribute__((noinline)) uint32_t measure_stack(void)
{
    uintptr_t top = target_stack_pointer();
    uintptr_t room = (top - (uintptr_t)bss_end) / 4;
    volatile uint32_t *end = (uint32_t *)top,
                      *first = end - (room < PAINTED_WORDS ? room : PAINTED_WORDS), *p;
    for (p = first; p < end; p++) *p = PAINT;
    sn_micro_run(&net, input, output, memory);
    for (p = first; p < end && *p == PAINT;) p++;
    if (p == first) fail("the stack is too small\n");
    return (uint32_t)((uintptr_t)end - (uintptr_t)p);
}

int main(void)
{
    intptr_t in = open_file("inputs.bin", 10, READ_BINARY),
             out = open_file("outputs.bin", 11, WRITE_BINARY);
    if (!read_input(in)) fail("there are no inputs\n");
    print_number("instructions ", count_instructions());
    print_number("stack ", measure_stack());
    print_number("memory ", sizeof input + sizeof output + net_SCRATCH_BYTES);
    do {
        sn_micro_run(&net, input, output, memory);
        if (transfer(SYS_WRITE, out, output, sizeof output)) fail("an output cannot be written\n");
    } while (read_input(in));
    target_call(SYS_CLOSE, &out);
    return 0;
}
