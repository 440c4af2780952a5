/* From reset to main, for processors of Arm's M profile and for 32-bit RISC-V as QEMU has them. */
#include "target.h"

enum { SYS_WRITE0 = 4, SYS_EXIT = 0x18, EXIT_OK = 0x20026, EXIT_ERROR = 0x20024 };

_Noreturn void target_exit(int ok)
{
    for (;;) target_call(SYS_EXIT, (const void *)(intptr_t)(ok ? EXIT_OK : EXIT_ERROR));
}

/* Data and zeros are set up word by word; the linker script aligns both. */
static void start(void)
{
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end;) *to++ = *from++;
    for (uint32_t *to = bss_start; to < bss_end;) *to++ = 0;
    target_exit(main() == 0);
}

static void fault(void)
{
    target_call(SYS_WRITE0, "fault\n");
    target_exit(0);
}

#ifdef __arm__

intptr_t target_call(intptr_t operation, const void *argument)
{
    register intptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static volatile uint32_t *const control = (uint32_t *)0xe000e010, *const reload = control + 1,
                                *const current = control + 2;

static volatile uint32_t wraps __attribute__((used));

/* SysTick has come to 0. In assembly, as its instructions are subtracted. */
enum { WRAP_INSTRUCTIONS = 5 };
__attribute__((naked)) static void wrap(void)
{
    __asm__("ldr r0, =wraps\n"
            "ldr r1, [r0]\n"
            "adds r1, #1\n"
            "str r1, [r0]\n"
            "bx lr\n"
            ".ltorg");
}

void target_start_counter(void)
{
    *reload = 0xffffff;
    *current = 0;
    *control = 7; /* on, with interrupts, at the processor's clock */
    while (*current == 0) continue;
}

void target_stop_counter(void) { *control = 0; }

/* An instruction takes TICKS / 1000 ticks of SysTick, more than 4, so that neither of the two
 * readings of a difference, each wrong by a tick at most, makes it wrong by an instruction. At 0 a
 * wrap has been counted, one tick before there is one. */
uint64_t target_instructions(void)
{
    uint32_t n, left;
    do {
        n = wraps;
        left = *current;
    } while (n != wraps);
    uint64_t ticks = ((uint64_t)n << 24) + (-left & 0xffffff);
    return (ticks * 1000 + TICKS / 2) / TICKS - (uint64_t)n * WRAP_INSTRUCTIONS;
}

/* The floating-point unit and vectors are off after reset. */
static void reset(void)
{
#ifdef __ARM_FP
    *(volatile uint32_t *)0xe000ed88 |= 0xf << 20;
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
    start();
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, reset, fault, fault, fault, fault, fault, fault,
    fault,     fault, fault, fault, fault, fault, fault, wrap
};

#else

/* The three instructions are one mark, of 4 bytes each and on one page. */
__attribute__((naked, aligned(16))) intptr_t target_call(intptr_t operation, const void *argument)
{
    (void)operation;
    (void)argument;
    __asm__(".option push\n"
            ".option norvc\n"
            "slli x0, x0, 0x1f\n"
            "ebreak\n"
            "srai x0, x0, 7\n"
            "ret\n"
            ".option pop");
}

void target_start_counter(void) {}

void target_stop_counter(void) {}

uint64_t target_instructions(void)
{
    uint32_t low, high, again;
    do
        __asm__ volatile("csrr %0, mcycleh\n csrr %1, mcycle\n csrr %2, mcycleh"
                         : "=&r"(high), "=&r"(low), "=&r"(again));
    while (high != again);
    return (uint64_t)high << 32 | low;
}

__attribute__((aligned(4), used)) static void trap(void) { fault(); }

__attribute__((used)) static void reset(void) { start(); }

__attribute__((naked, section(".vectors"), used)) static void first(void)
{
    __asm__("la sp, stack_top\n"
            ".option push\n"
            ".option norelax\n"
            "la gp, __global_pointer$\n"
            ".option pop\n"
            "la t0, trap\n"
            "csrw mtvec, t0\n"
            "j reset");
}

#endif
